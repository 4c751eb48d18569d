/** Constraints: what they demand along valid time, when they are decided, and that everybody decides the same. */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { type Graph, openReader, openStore, type Store } from "../../../src/index.js";
import { encodeGraphEvent } from "../../../src/projections/graph/graph-event-codec.js";
import { GraphState } from "../../../src/projections/graph/graph-state.js";
import { assert, rejects } from "../../support/assert.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";
import { rawEvent, rawPayload } from "./raw-events.js";

const test = suite("projections/graph/constraints");

const UNIQUE = { kind: "unique", label: "Person", property: "email" } as const;
const REQUIRED = { kind: "required", label: "Person", property: "name" } as const;

let store: Store;
let graph: Graph;

test.beforeEach(async () => {
  store = await openStore(join(temporaryDirectory(), "store"));
  graph = await store.graph();
});

test.afterEach(() => store.close());

function person(email: string | null, validFrom: number, validTo?: number): Promise<{ id: number; lsn: number }> {
  const period = { validFrom, ...(validTo !== undefined && { validTo }) };
  return graph.createNode({ label: "Person", properties: { email }, ...period });
}

const details = (error: Error): unknown => (error as Error & { details: unknown }).details;

test("a unique property is unique at every valid time by itself", async () => {
  await graph.addConstraint(UNIQUE);
  const first = await person("a", 0, 10);
  const error = await rejects(person("a", 9, 11), "ERR_GRAPH_NOT_UNIQUE");
  assert.match(error.message, `node ${first.id} has the same "email"`);
  assert.equal((details(error) as { other: number; lsn: null }).other, first.id);
  // One after another, before each other, and of another label.
  const second = await person("a", 10, 20);
  await person("a", -5, 0);
  await graph.createNode({ label: "Company", properties: { email: "a" }, validFrom: 0 });
  // What has no value has the same as nobody.
  await person(null, 0);
  await person(null, 0);
  await graph.createNode({ label: "Person", validFrom: 0 });
  await rejects(
    graph.patchNode(second.id, { email: "a" }, { validFrom: 0 }).then(() => person("a", 12)),
    "ERR_GRAPH_NOT_UNIQUE",
  );
  // Given back where it is changed, from then on.
  await graph.patchNode(first.id, { email: "b" }, { validFrom: 5, validTo: 10 });
  await person("a", 5, 10);
  await rejects(person("a", 4, 6), "ERR_GRAPH_NOT_UNIQUE");
  await graph.retractNode(first.id);
  await person("a", 0, 5);
});

test("values of different kinds are different, and the same number is the same", async () => {
  await graph.addConstraint({ ...UNIQUE, property: "k" });
  const node = (k: string | number | boolean | Uint8Array) =>
    graph.createNode({ label: "Person", properties: { k }, validFrom: 0 });
  for (const value of [1, "1", true, Uint8Array.of(1), 0.1, Number.NaN, -0, 0]) await node(value);
  for (const value of [1, "1", true, Uint8Array.of(1), 0.1, Number.NaN, -0, 0])
    await rejects(node(value), "ERR_GRAPH_NOT_UNIQUE");
});

test("several properties are unique together, where all of them have a value", async () => {
  const added = await graph.addConstraint({ kind: "unique", label: "Person", property: ["tenant", "email"] });
  assert.equal(added, { kind: "unique", label: "Person", property: ["email", "tenant"], addedBy: graph.lsn });
  const node = (tenant: number | null, email: string | null, validFrom = 0, validTo = 100) =>
    graph.createNode({ label: "Person", properties: { tenant, email }, validFrom, validTo });
  const first = await node(1, "a");
  await node(2, "a");
  await node(1, "b");
  await node(1, "a", 100, 200);
  for (const [tenant, email] of [
    [1, null],
    [null, "a"],
    [null, null],
  ] as const) {
    await node(tenant, email);
    await node(tenant, email);
  }
  const error = await rejects(node(1, "a", 99, 101), "ERR_GRAPH_NOT_UNIQUE");
  const { property, other } = details(error) as { property: string; other: number };
  assert.equal([property, other], ["email, tenant", first.id]);
  const [, , third] = [...graph.asOf({ validAt: 0 }).find({ label: "Person" })];
  await rejects(graph.patchNode(third?.id ?? 0, { email: "a" }, { validFrom: 50 }), "ERR_GRAPH_NOT_UNIQUE");
  await graph.patchNode(first.id, { tenant: null }, { validFrom: 50, validTo: 100 });
  await graph.patchNode(third?.id ?? 0, { email: "a" }, { validFrom: 50, validTo: 100 });
  // An upsert wants a property that is unique by itself.
  const upsert = { label: "Person", key: "email", properties: { email: "z", tenant: 1 } };
  await rejects(graph.upsertNode(upsert), "ERR_GRAPH_CONSTRAINT_NOT_FOUND");
  const same = { kind: "unique", label: "Person", property: ["email", "tenant"] } as const;
  await rejects(graph.addConstraint(same), "ERR_GRAPH_CONSTRAINT_EXISTS");
  await rejects(graph.removeConstraint({ ...same, property: "email" }), "ERR_GRAPH_CONSTRAINT_NOT_FOUND");
  await graph.removeConstraint(same);
  await node(2, "a");
});

test("edges are bound as nodes are, by what they hold themselves, and each kind for itself", async () => {
  const a = await person("a", 0);
  const b = await person("b", 0);
  const edge = (n: number | null, validFrom = 0, validTo = 100) =>
    graph.createEdge({ label: "SEAT", source: a.id, target: b.id, properties: { n }, validFrom, validTo });
  const unique = { kind: "unique", entity: "edge", label: "SEAT", property: "n" } as const;
  const first = await edge(1);
  const twin = await edge(1, 50);
  const broken = await rejects(graph.addConstraint(unique), "ERR_GRAPH_NOT_UNIQUE");
  assert.equal((details(broken) as { offenders: string }).offenders, `${first.id}, ${twin.id}`);
  assert.match(broken.message, "2 edges break it");
  await graph.patchEdge(twin.id, { n: 2 }, { validFrom: 50 });
  const added = await graph.addConstraint(unique);
  assert.equal([added.entity, graph.constraints], ["edge", [added]]);
  const error = await rejects(edge(1, 99, 101), "ERR_GRAPH_NOT_UNIQUE");
  assert.match(error.message, `edge ${first.id} has the same "n"`);
  await rejects(graph.patchEdge(twin.id, { n: 1 }, { validFrom: 60, validTo: 61 }), "ERR_GRAPH_NOT_UNIQUE");
  await rejects(graph.replaceEdge(twin.id, { n: 1 }, { validFrom: 60 }), "ERR_GRAPH_NOT_UNIQUE");
  const put = { label: "SEAT", source: a.id, target: b.id, properties: { n: 2 }, validFrom: 0, validTo: 60 };
  await rejects(graph.putEdge(first.id, put), "ERR_GRAPH_NOT_UNIQUE");
  await edge(null);
  await edge(null);
  // Nodes of the same label, and edges of another one, are not meant.
  await graph.createNode({ label: "SEAT", properties: { n: 1 }, validFrom: 0 });
  await graph.createEdge({ ...put, label: "ROW", properties: { n: 1 } });
  // Within a batch it is about what that leaves.
  await graph.batch((batch) => {
    batch.patchEdge(first.id, { n: 2 }, { validFrom: 50, validTo: 100 });
    batch.patchEdge(twin.id, { n: 1 }, { validFrom: 50, validTo: 100 });
  });
  const inBatch = await rejects(
    graph.batch((batch) => {
      const at = batch.createNode({ label: "Person", validFrom: 0 });
      batch.createEdge({ ...put, source: at, properties: { n: 1 } });
    }),
    "ERR_GRAPH_NOT_UNIQUE",
  );
  assert.is((details(inBatch) as { kind: string }).kind, "edge");
  await graph.addConstraint({ kind: "required", entity: "edge", label: "ROW", property: "n" });
  await rejects(graph.createEdge({ ...put, label: "ROW", properties: {} }), "ERR_GRAPH_REQUIRED_PROPERTY");
  // An edge that is gone, by itself or with its node, holds nothing.
  await graph.deleteNode(a.id, { validFrom: 0, detach: true });
  const other = await person("c", 0);
  await graph.createEdge({ ...put, source: other.id, properties: { n: 1 } });

  const expected = graph.constraints;
  await store.checkpoint();
  const { directory } = store;
  await store.close();
  for (const replays of [false, true]) {
    if (replays) rmSync(join(directory, "projections"), { recursive: true });
    store = await openStore(directory);
    graph = await store.graph();
    assert.equal(graph.constraints, expected);
    const again = { ...put, source: other.id, properties: { n: 1 } };
    await rejects(graph.createEdge(again), "ERR_GRAPH_NOT_UNIQUE");
    await store.close();
  }
});

test("a required property is demanded in every part of the period", async () => {
  await graph.addConstraint(REQUIRED);
  const named = { label: "Person", properties: { name: "Ann", x: 1 }, validFrom: 0 };
  await rejects(graph.createNode({ label: "Person", validFrom: 0 }), "ERR_GRAPH_REQUIRED_PROPERTY");
  await rejects(graph.createNode({ ...named, properties: { name: null } }), "ERR_GRAPH_REQUIRED_PROPERTY");
  const ann = await graph.createNode(named);
  await graph.patchNode(ann.id, { x: null }, { validFrom: 5 });
  for (const validFrom of [-5, 0, 7]) {
    await rejects(graph.patchNode(ann.id, { name: null }, { validFrom }), "ERR_GRAPH_REQUIRED_PROPERTY");
    await rejects(graph.replaceNode(ann.id, { x: 2 }, { validFrom }), "ERR_GRAPH_REQUIRED_PROPERTY");
    await rejects(graph.putNode(ann.id, { label: "Person", validFrom }), "ERR_GRAPH_REQUIRED_PROPERTY");
  }
  await graph.putNode(ann.id, { label: "Ghost", validFrom: 7 });
  await graph.replaceNode(ann.id, { y: 1 }, { validFrom: 7 });
  await rejects(graph.replaceNode(ann.id, { y: 1 }, { validFrom: 6 }), "ERR_GRAPH_REQUIRED_PROPERTY");
  await graph.deleteNode(ann.id, { validFrom: 0 });
});

test("one that what is in force breaks is refused, and the error names the offenders", async () => {
  const nodes = [];
  for (let count = 0; count < 12; count += 1) nodes.push(await person("same", 0));
  await person("other", 0);
  const before = store.watermark;
  const error = await rejects(graph.addConstraint(UNIQUE), "ERR_GRAPH_NOT_UNIQUE");
  const ids = nodes.map(({ id }) => id);
  const { offenders, offenderCount } = details(error) as { offenders: string; offenderCount: number };
  assert.equal([offenders, offenderCount], [ids.slice(0, 10).join(", "), 12]);
  assert.is(
    (
      (await rejects(graph.addConstraint(REQUIRED), "ERR_GRAPH_REQUIRED_PROPERTY")) as Error & {
        details: { offenderCount: number };
      }
    ).details.offenderCount,
    13,
  );
  assert.equal([store.watermark, graph.constraints.length], [before, 0]);
  // What was superseded does not count, what will be valid does.
  for (const { id } of nodes.slice(2)) await graph.retractNode(id);
  const [first, second] = [nodes[0]?.id ?? 0, nodes[1]?.id ?? 0];
  await graph.patchNode(first, { email: "mine" }, { validFrom: 0, validTo: 4_000_000_000_000_000 });
  await rejects(graph.addConstraint(UNIQUE), "ERR_GRAPH_NOT_UNIQUE");
  await graph.deleteNode(second, { validFrom: 4_000_000_000_000_000 });
  const added = await graph.addConstraint(UNIQUE);
  assert.equal(graph.constraints, [added]);
  assert.equal(added, { ...UNIQUE, addedBy: graph.lsn });
});

test("it binds from its event on until it is removed, for other writers, after a checkpoint and after replay", async () => {
  await graph.addConstraint(UNIQUE);
  await graph.addConstraint(REQUIRED, { provenance: { actor: "ann" } });
  await graph.createNode({ label: "Person", properties: { email: "a", name: "A" }, validFrom: 0 });
  assert.equal(await graph.provenance(graph.constraints[1]?.addedBy ?? 0), { actor: "ann" });
  const { directory } = store;
  const expected = graph.constraints;
  await store.checkpoint();
  await store.close();
  for (const replays of [false, true]) {
    if (replays) rmSync(join(directory, "projections"), { recursive: true });
    store = await openStore(directory);
    graph = await store.graph();
    assert.equal(graph.constraints, expected);
    await rejects(person("a", 0), "ERR_GRAPH_NOT_UNIQUE");
    await rejects(person("b", 0), "ERR_GRAPH_REQUIRED_PROPERTY");
    const taken = { label: "Person", properties: { email: `b${replays}`, name: "B" }, validFrom: 0 };
    await graph.createNode(taken);
    await rejects(graph.createNode(taken), "ERR_GRAPH_NOT_UNIQUE");
    await store.close();
  }
  store = await openStore(directory);
  graph = await store.graph();
  await using reader = await openReader(directory);
  assert.equal((await reader.graph()).constraints, expected);
  await rejects((await reader.graph()).addConstraint(UNIQUE), "ERR_STORE_READ_ONLY");
  await graph.removeConstraint(UNIQUE);
  await graph.removeConstraint(REQUIRED);
  await person("a", 0);
  assert.equal(graph.constraints, []);
});

test("what is no constraint, is there already or is not there is refused and changes nothing", async () => {
  await graph.addConstraint(UNIQUE);
  const before = store.watermark;
  await rejects(graph.addConstraint(UNIQUE), "ERR_GRAPH_CONSTRAINT_EXISTS");
  await rejects(graph.removeConstraint(REQUIRED), "ERR_GRAPH_CONSTRAINT_NOT_FOUND");
  const isTypeError = (error: Error) => error instanceof TypeError;
  for (const wrong of [
    null,
    {},
    { ...UNIQUE, kind: "some" },
    { ...UNIQUE, label: "" },
    { ...UNIQUE, property: "" },
    { ...UNIQUE, property: "\ud800" },
    { ...UNIQUE, property: "x".repeat(1025) },
    { ...UNIQUE, property: [] },
    { ...UNIQUE, property: ["a", "a"] },
    { ...UNIQUE, property: ["a", ""] },
    { ...UNIQUE, property: ["a", "x".repeat(1025)] },
    { ...UNIQUE, property: Array.from({ length: 9 }, (_, at) => `p${at}`) },
    { ...REQUIRED, property: ["a", "b"] },
    { ...UNIQUE, entity: "graph" },
    { ...UNIQUE, label: "ä".repeat(513) },
    { ...UNIQUE, more: 1 },
  ]) {
    await rejects(graph.addConstraint(wrong as never), isTypeError);
    await rejects(graph.removeConstraint(wrong as never), isTypeError);
  }
  await rejects(graph.addConstraint(REQUIRED, { subject: "ann" } as object), isTypeError);
  assert.equal([store.watermark, graph.constraints.length], [before, 1]);
});

test("what is wrong at its own LSN is rejected there, and bytes that are none are as well", () => {
  const state = new GraphState({ clock: () => 0 });
  const added = "varve.v1.GraphConstraintAdded";
  const removed = "varve.v1.GraphConstraintRemoved";
  const payloads: (readonly [string, Uint8Array])[] = [
    [added, encodeGraphEvent(added, UNIQUE)],
    [added, encodeGraphEvent(added, UNIQUE)],
    [removed, encodeGraphEvent(removed, REQUIRED)],
    [added, new Uint8Array(0)],
    [added, Uint8Array.of(0x12, 0x01, 0x61)],
    [added, Uint8Array.of(0x08, 0x02, 0x12, 0x01, 0x61, 0x1a, 0x01, 0x62)],
    [added, Uint8Array.of(0x12, 0x05, 0x61)],
    [added, Uint8Array.of(0x12, 0x01, 0xff, 0x1a, 0x01, 0x62)],
    // A field that is not known is stepped over.
    [added, Uint8Array.of(0x08, 0x01, 0x12, 0x01, 0x61, 0x78, 0x01, 0x1a, 0x01, 0x62)],
    // Two that are required, one twice, and of something that is neither node nor edge.
    [added, Uint8Array.of(0x08, 0x01, 0x12, 0x01, 0x61, 0x1a, 0x01, 0x62, 0x1a, 0x01, 0x63)],
    [added, Uint8Array.of(0x12, 0x01, 0x61, 0x1a, 0x01, 0x62, 0x1a, 0x01, 0x62)],
    [added, Uint8Array.of(0x12, 0x01, 0x61, 0x1a, 0x01, 0x62, 0x20, 0x02)],
    [
      added,
      Uint8Array.of(0x12, 0x01, 0x61, ...Array.from("bcdefghij").flatMap((each) => [0x1a, 1, each.charCodeAt(0)])),
    ],
    // In another order than it is kept in.
    [added, Uint8Array.of(0x12, 0x01, 0x61, 0x1a, 0x01, 0x63, 0x1a, 0x01, 0x62, 0x20, 0x01)],
    [removed, encodeGraphEvent(removed, UNIQUE)],
  ];
  for (const [index, [type, payload]] of payloads.entries()) state.apply(rawPayload(index + 1, index, type, payload));
  const schema = "ERR_EVENTS_SCHEMA";
  const [exists, missing] = ["ERR_GRAPH_CONSTRAINT_EXISTS", "ERR_GRAPH_CONSTRAINT_NOT_FOUND"];
  assert.equal(
    payloads.map((_, index) => state.rejectionAt(index + 1)?.code),
    [
      ...[undefined, exists, missing, schema, schema, schema, schema, schema, undefined],
      ...[schema, schema, schema, schema, undefined, undefined],
    ],
  );
  assert.equal(state.constraints, [
    { kind: "required", label: "a", property: "b", addedBy: 9 },
    { kind: "unique", entity: "edge", label: "a", property: ["b", "c"], addedBy: 14 },
  ]);
  assert.equal(GraphState.decode(state.encode()).constraints, state.constraints);
});

test("there are at most 1,000, and several are kept in their order", () => {
  const state = new GraphState({ clock: () => 0 });
  const added = (lsn: number, property: string) =>
    state.apply(rawEvent({ lsn, recordedAt: 0, type: "GraphConstraintAdded", data: { ...UNIQUE, property } }));
  for (let lsn = 1; lsn <= 1001; lsn += 1) added(lsn, `p${lsn}`);
  assert.equal([state.constraints.length, state.rejectionAt(1001)?.code], [1000, "ERR_GRAPH_FULL"]);
  assert.is(state.constraints.at(-1)?.addedBy, 1000);
});
