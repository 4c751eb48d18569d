import { join } from "node:path";
import { type Graph, openStore, type Store } from "../../../src/index.js";
import { assert, rejects } from "../../support/assert.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

const test = suite("projections/graph/upsert");

let store: Store;
let graph: Graph;

test.beforeEach(async () => {
  store = await openStore(join(temporaryDirectory(), "store"));
  graph = await store.graph();
  await graph.addConstraint({ kind: "unique", label: "Person", property: "email" });
});

test.afterEach(() => store.close());

const input = (properties: Record<string, string | number | null>, validFrom: number, validTo?: number) => ({
  label: "Person",
  key: "email",
  properties: { email: "a", ...properties },
  validFrom,
  ...(validTo !== undefined && { validTo }),
});

const shape = (id: number): unknown[] =>
  graph
    .history("node", id, { at: "valid" })
    .toArray()
    .map(({ validFrom, validTo, properties }) => [validFrom, validTo, { ...properties }] as const)
    .sort(([a], [b]) => a - b);

test("creates the node where none has the key, and else finds it: patched where it is, as given where it is not", async () => {
  const first = await graph.upsertNode(input({ name: "Ann", old: 1 }, 10, 20));
  assert.is(first.created, true);
  const second = await graph.upsertNode(input({ name: "Anna", old: null }, 15, 30));
  assert.equal([second.created, second.id], [false, first.id]);
  assert.equal(shape(first.id), [
    [10, 15, { email: "a", name: "Ann", old: 1 }],
    [15, 20, { email: "a", name: "Anna" }],
    [20, 30, { email: "a", name: "Anna", old: null }],
  ]);
  assert.equal(graph.versionOf("node", first.id), second.lsn);
  // Over a gap, before and behind it, and where it is not any more.
  await graph.deleteNode(first.id, { validFrom: 12, validTo: 22 });
  const third = await graph.upsertNode(input({ n: 1 }, 5, 25));
  assert.is(third.id, first.id);
  assert.equal(shape(first.id), [
    [5, 10, { email: "a", n: 1 }],
    [10, 12, { email: "a", name: "Ann", old: 1, n: 1 }],
    [12, 22, { email: "a", n: 1 }],
    [22, 25, { email: "a", name: "Anna", old: null, n: 1 }],
    [25, 30, { email: "a", name: "Anna", old: null }],
  ]);
  assert.equal([...graph.asOf({ validAt: 13 }).find({ label: "Person" })].length, 1);
  const other = await graph.upsertNode(input({}, 30));
  assert.equal([other.created, other.id === first.id], [true, false]);
});

test("touching parts that come to hold the same are one rectangle", async () => {
  const { id } = await graph.upsertNode(input({}, 10, 20));
  const { lsn } = await graph.upsertNode(input({}, 0, 30));
  assert.equal(shape(id), [[0, 30, { email: "a" }]]);
  assert.is(graph.asOf({ validAt: 15 }).node(id)?.lsn, lsn);
});

test("without a constraint, with several who have the key, or without its value it is refused", async () => {
  await graph.upsertNode(input({}, 0, 10));
  await graph.upsertNode(input({}, 10, 20));
  const before = await store.streamVersion("graph");
  await rejects(graph.upsertNode(input({}, 5, 15)), "ERR_GRAPH_KEY_AMBIGUOUS");
  await rejects(graph.upsertNode({ ...input({}, 0), label: "Company" }), "ERR_GRAPH_CONSTRAINT_NOT_FOUND");
  await rejects(graph.upsertNode({ ...input({ name: "Ann" }, 0), key: "name" }), "ERR_GRAPH_CONSTRAINT_NOT_FOUND");
  await rejects(graph.upsertNode({ ...input({}, 0), properties: { name: "Ann" } }), "ERR_GRAPH_INVALID_PROPERTY");
  await rejects(graph.upsertNode(input({ email: null }, 0)), "ERR_GRAPH_INVALID_PROPERTY");
  await rejects(graph.upsertNode({ ...input({}, 0), key: "toString" }), "ERR_GRAPH_INVALID_PROPERTY");
  const isTypeError = (error: Error) => error instanceof TypeError;
  await rejects(graph.upsertNode({ ...input({}, 0), key: "" }), isTypeError);
  await rejects(graph.upsertNode({ ...input({}, 0), id: 1 } as never), isTypeError);
  await rejects(graph.upsertNode({ ...input({}, 0), expectedVersion: 1 } as never), isTypeError);
  assert.is(await store.streamVersion("graph"), before);
});

test("it is bound by the other constraints", async () => {
  await graph.addConstraint({ kind: "required", label: "Person", property: "name" });
  await rejects(graph.upsertNode(input({}, 0)), "ERR_GRAPH_REQUIRED_PROPERTY");
  const ann = await graph.upsertNode(input({ name: "Ann" }, 10));
  // Patched it has its name; before, it would lack it.
  await graph.upsertNode(input({ n: 1 }, 10));
  await rejects(graph.upsertNode(input({ n: 1 }, 5)), "ERR_GRAPH_REQUIRED_PROPERTY");
  await graph.addConstraint({ kind: "unique", label: "Person", property: "n" });
  const error = await rejects(graph.upsertNode(input({ email: "b", name: "Bo", n: 1 }, 11)), "ERR_GRAPH_NOT_UNIQUE");
  assert.is((error as Error & { details: { other: number } }).details.other, ann.id);
});

test("of several at once one creates, and the others find what it has created", async () => {
  const results = await Promise.all([1, 2, 3, 4].map((n) => graph.upsertNode(input({ [`n${n}`]: n }, 0))));
  assert.equal([new Set(results.map(({ id }) => id)).size, results.filter(({ created }) => created).length], [1, 1]);
  assert.equal({ ...graph.asOf().node(results[0]?.id ?? 0)?.properties }, { email: "a", n1: 1, n2: 2, n3: 3, n4: 4 });
  assert.equal([graph.counts.nodes, graph.rejectedCount], [1, 0]);
});

test("lineage leads over upserts that do not name a property, to the one that made the node without it", async () => {
  const first = await graph.upsertNode(input({ name: "Ann" }, 0, 10));
  const second = await graph.upsertNode(input({ n: 1 }, 0, 20));
  const lsnOf = async (property: string, validAt: number) =>
    (await graph.lineage("node", first.id, { property, validAt })).lsn;
  assert.equal(
    [await lsnOf("name", 5), await lsnOf("n", 5), await lsnOf("never", 5)],
    [first.lsn, second.lsn, first.lsn],
  );
  assert.equal([await lsnOf("name", 15), await lsnOf("email", 15)], [second.lsn, second.lsn]);
});
