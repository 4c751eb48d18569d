/** Batches: all or nothing at one LSN, with references between their items. */

import { rmSync } from "node:fs";
import { join } from "node:path";
import {
  type BatchBuilder,
  type BatchReference,
  type Graph,
  openReader,
  openStore,
  type Store,
} from "../../../src/index.js";
import { encodeGraphEvent } from "../../../src/projections/graph/graph-event-codec.js";
import { GraphState } from "../../../src/projections/graph/graph-state.js";
import { keyOf } from "../../encryption/support.js";
import { assert, rejects } from "../../support/assert.js";
import { firstPage } from "../../support/first-page.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";
import { rawPayload } from "./raw-events.js";

const test = suite("projections/graph/graph-batch");

let store: Store;
let graph: Graph;

test.beforeEach(async () => {
  store = await openStore(join(temporaryDirectory(), "store"));
  graph = await store.graph();
});

test.afterEach(() => store.close());

const person = (name: string) => ({ label: "Person", properties: { name }, validFrom: 0 });
const isTypeError = (error: Error): boolean => error instanceof TypeError;

test("makes nodes and edges between them by one event, and answers with their ids", async () => {
  const acme = await graph.createNode({ label: "Company", validFrom: 0 });
  const before = store.watermark;
  let ann: BatchReference<"node"> | undefined;
  const { lsn, ids, idOf } = await graph.batch((batch) => {
    ann = batch.createNode(person("Ann"));
    const bo = batch.createNode(person("Bo"));
    const knows = batch.createEdge({ label: "KNOWS", source: ann, target: bo, validFrom: 0 });
    batch.createEdge({ label: "WORKS_AT", source: bo, target: acme.id, validFrom: 0 });
    batch.patchEdge(knows, { since: 5 }, { validFrom: 5 });
    batch.patchNode(acme.id, { name: "Acme" }, { validFrom: 0, expectedVersion: acme.lsn });
  });
  assert.is(ids.length, 6);
  assert.equal([ids[0], ids[4], ids[5]], [idOf(ann as BatchReference), ids[2], acme.id]);
  // Ids are reserved by events of their own, the batch is one.
  assert.equal([graph.lsn, store.watermark], [lsn, lsn]);
  assert.ok(lsn - before <= 2);
  const view = graph.asOf();
  const from = [...view.neighbors(ids[0] as number, { direction: "out" })];
  assert.equal(
    from.map(({ properties }) => properties["name"]),
    ["Bo"],
  );
  assert.equal(
    graph
      .history("edge", ids[2] as number)
      .toArray()
      .map(({ validFrom, validTo, properties, lsn: at }) => [validFrom, validTo, properties["since"], at]),
    [
      [0, 5, undefined, lsn],
      [5, null, 5, lsn],
    ],
  );
  assert.is(graph.versionOf("node", acme.id), lsn);
  assert.equal(
    firstPage(graph.changes({ after: lsn - 1 })).changes.map(({ lsn: at }) => at),
    ids.slice(0, 5).map(() => lsn),
  );
  const { event } = await graph.lineage("node", acme.id);
  assert.equal([event?.type, event?.lsn], ["varve.v1.GraphBatch", lsn]);
  const { items } = (event?.data ?? {}) as { items: { type: string; data: { id: number; source?: number } }[] };
  assert.equal(
    items.map(({ data }) => data.id),
    ids,
  );
  assert.is(items[2]?.data.source, ids[0]);
});

test("of one item that is refused nothing is done, and it is named", async () => {
  const ann = await graph.createNode(person("Ann"));
  const before = { lsn: graph.lsn, counts: graph.counts };
  const refused = async (build: (batch: BatchBuilder) => void, code: string, item: number): Promise<void> => {
    const error = await rejects(graph.batch(build), code);
    assert.is((error as Error & { details: { item: number } }).details.item, item, error.message);
    assert.match(error.message, "the batch was refused because of");
  };
  await refused(
    (batch) => {
      batch.patchNode(ann.id, { name: "Anna" }, { validFrom: 0 });
      batch.createNode(person("Bo"));
      batch.patchNode(987_654, { name: "?" });
    },
    "ERR_GRAPH_NOT_FOUND",
    2,
  );
  await refused(
    (batch) => {
      batch.deleteNode(ann.id, { validFrom: 0 });
      batch.createEdge({ label: "KNOWS", source: batch.createNode(person("Bo")), target: ann.id, validFrom: 0 });
    },
    "ERR_GRAPH_NO_ENDS",
    2,
  );
  await refused(
    (batch) => {
      batch.createEdge({ label: "KNOWS", source: batch.createNode(person("Bo")), target: ann.id, validFrom: 0 });
      batch.deleteNode(ann.id, { validFrom: 7 });
    },
    "ERR_GRAPH_HAS_EDGES",
    2,
  );
  await refused(
    (batch) => {
      batch.patchNode(ann.id, { n: 1 }, { validFrom: 0, expectedVersion: ann.lsn + 1 });
    },
    "ERR_GRAPH_VERSION_CONFLICT",
    0,
  );
  assert.equal([graph.counts, graph.versionOf("node", ann.id), graph.rejectedCount], [before.counts, ann.lsn, 0]);
  assert.is(await store.streamVersion("graph"), 1);
});

test("expected versions are those before the batch, also of what an earlier item has changed", async () => {
  const ann = await graph.createNode(person("Ann"));
  const { lsn } = await graph.batch((batch) => {
    batch.patchNode(ann.id, { a: 1 }, { validFrom: 0, expectedVersion: ann.lsn });
    batch.patchNode(ann.id, { b: 1 }, { validFrom: 0, expectedVersion: ann.lsn });
  });
  assert.equal(
    graph
      .history("node", ann.id)
      .toArray()
      .map(({ lsn: at, supersededBy }) => [at, supersededBy]),
    [
      [ann.lsn, lsn],
      [lsn, null],
    ],
  );
  assert.equal({ ...graph.asOf().node(ann.id)?.properties }, { name: "Ann", a: 1, b: 1 });
});

test("what came and went within a batch was never there", async () => {
  const ann = await graph.createNode(person("Ann"));
  const before = graph.counts;
  const { ids, lsn } = await graph.batch((batch) => {
    const bo = batch.createNode(person("Bo"));
    const edge = batch.createEdge({ label: "KNOWS", source: bo, target: ann.id, validFrom: 0 });
    batch.patchEdge(edge, { n: 1 }, { validFrom: 0 });
    batch.retractNode(bo, { detach: true });
    batch.deleteNode(ann.id, { validFrom: 10, validTo: 20 });
    batch.putNode(ann.id, { ...person("Anna"), validFrom: 15, validTo: 20 });
  });
  assert.equal(graph.counts, before);
  assert.equal(
    [graph.history("node", ids[0] as number).toArray().length, graph.versionOf("node", ids[0] as number)],
    [0, 0],
  );
  assert.equal(
    graph
      .history("node", ann.id)
      .toArray()
      .map((each) => [each.validFrom, each.validTo, each.lsn, each.supersededBy]),
    [
      [0, 10, ann.lsn, null],
      [10, 20, ann.lsn, lsn],
      [20, null, ann.lsn, null],
      [15, 20, lsn, null],
    ],
  );
});

test("constraints are about what a batch leaves: a unique value can be swapped, and not be doubled", async () => {
  await graph.addConstraint({ kind: "unique", label: "Person", property: "name" });
  await graph.addConstraint({ kind: "required", label: "Person", property: "name" });
  const [ann, bo] = [await graph.createNode(person("Ann")), await graph.createNode(person("Bo"))];
  await graph.batch((batch) => {
    batch.patchNode(ann.id, { name: "Bo" }, { validFrom: 0 });
    batch.patchNode(bo.id, { name: "Ann" }, { validFrom: 0 });
  });
  assert.equal(
    [ann, bo].map(({ id }) => graph.asOf().node(id)?.properties["name"]),
    ["Bo", "Ann"],
  );
  const { watermark } = store;
  const error = await rejects(
    graph.batch((batch) => {
      batch.createNode(person("Cy"));
      batch.createNode(person("Ann"));
    }),
    "ERR_GRAPH_NOT_UNIQUE",
  );
  assert.is((error as Error & { details: { other: number } }).details.other, bo.id);
  await rejects(
    graph.batch((batch) => void [0, 1].map(() => batch.createNode(person("Cy")))),
    "ERR_GRAPH_NOT_UNIQUE",
  );
  await rejects(
    graph.batch((batch) => batch.patchNode(ann.id, { name: null })),
    "ERR_GRAPH_REQUIRED_PROPERTY",
  );
  await graph.batch((batch) => {
    const cy = batch.createNode({ label: "Person", validFrom: 0 });
    batch.patchNode(cy, { name: "Cy" }, { validFrom: 0 });
  });
  assert.ok(store.watermark > watermark);
  assert.is(graph.rejectedCount, 0);
});

test("an upsert in a batch stands for the node that it finds, in the items behind it", async () => {
  await graph.addConstraint({ kind: "unique", label: "Company", property: "name" });
  const company = (name: string, more = {}) => ({
    label: "Company",
    key: "name",
    properties: { name, ...more },
    validFrom: 0,
  });
  const run = () =>
    graph.batch((batch) => {
      const acme = batch.upsertNode(company("Acme", { size: 1 }));
      const ann = batch.createNode(person("Ann"));
      batch.createEdge({ label: "WORKS_AT", source: ann, target: acme, validFrom: 0 });
      batch.patchNode(acme, { seen: true }, { validFrom: 0 });
      assert.ok(acme !== batch.upsertNode(company("Acme", { size: 2 })));
    });
  const first = await run();
  const second = await run();
  assert.equal([first.ids[0], first.ids[4]], [second.ids[0], second.ids[0]]);
  const acme = first.ids[0] as number;
  assert.equal({ ...graph.asOf().node(acme)?.properties }, { name: "Acme", size: 2, seen: true });
  assert.is(graph.asOf().degree(acme, { direction: "in" }), 2);
  // What the second batch says of it is found, though that names another id.
  for (const [property, lsn] of [
    ["seen", second.lsn],
    ["size", second.lsn],
    ["never", first.lsn],
  ] as const)
    assert.is((await graph.lineage("node", acme, { property, validAt: 5 })).lsn, lsn, property);
});

test("ids of nodes and of edges are two kinds of numbers, also where an upsert has found another node", async () => {
  await graph.addConstraint({ kind: "unique", label: "N", property: "k" });
  const node = { label: "N", key: "k", properties: { k: 1 }, validFrom: 0 };
  const { id } = await graph.upsertNode(node);
  // Until node and edge of one batch have the same number.
  for (let left = 20, met = false; !met; left -= 1) {
    assert.ok(left > 0, "the numbers never met");
    const { ids } = await graph.batch((batch) => {
      const found = batch.upsertNode(node);
      const edge = batch.createEdge({ label: "SELF", source: found, target: found, validFrom: 0 });
      batch.patchEdge(edge, { n: 1 }, { validFrom: 0 });
    });
    assert.is(ids[0], id);
    assert.equal([ids[1] === ids[2], graph.asOf().edge(ids[1] as number)?.properties["n"]], [true, 1]);
    const { event } = await graph.lineage("edge", ids[1] as number);
    const { items } = (event?.data ?? {}) as { items: { data: { id: number } }[] };
    met = items[0]?.data.id === items[1]?.data.id;
    if (!met)
      await (items[0] && items[1] && items[0].data.id > items[1].data.id
        ? graph.createEdge({ label: "X", source: id, target: id })
        : graph.createNode({ label: "X" }));
  }
});

test("a wrong item is refused where it is put in, and a wrong batch before anything is written", async () => {
  const { watermark } = store;
  const throws = async (build: (batch: BatchBuilder) => unknown, expected: Parameters<typeof rejects>[1]) => {
    await rejects(graph.batch(build as () => void), expected);
  };
  await throws(() => {}, isTypeError);
  await throws(async (batch) => void batch.createNode(person("Ann")), isTypeError);
  await throws((batch) => batch.createNode({ label: "" }), isTypeError);
  await throws((batch) => batch.createNode({ ...person("Ann"), subject: "ann" } as object as never), isTypeError);
  await throws((batch) => batch.patchNode(0, {}), isTypeError);
  await throws((batch) => batch.patchNode("1" as never, {}), isTypeError);
  await throws((batch) => batch.createEdge({ label: "KNOWS", source: 1 } as never), isTypeError);
  await throws((batch) => batch.createNode({ ...person("Ann"), validTo: 0 }), "ERR_GRAPH_INVALID_PERIOD");
  await throws(
    (batch) => batch.upsertNode({ label: "P", key: "a", properties: { b: 1 } }),
    "ERR_GRAPH_INVALID_PROPERTY",
  );
  await throws(
    () => {
      throw new RangeError("the caller's own");
    },
    (error) => error instanceof RangeError,
  );
  await rejects(graph.batch(7 as never), isTypeError);
  await rejects(
    graph.batch((batch) => batch.patchNode(1, {}), { expectedVersion: 1 } as object),
    isTypeError,
  );
  let other: BatchReference<"node"> | undefined;
  let late: BatchBuilder | undefined;
  await throws((batch) => {
    other = batch.createNode(person("Ann"));
    late = batch;
    throw new TypeError("no");
  }, isTypeError);
  const reference = "ERR_GRAPH_BATCH_REFERENCE";
  await throws((batch) => batch.patchNode(other as BatchReference<"node">, {}), reference);
  await throws((batch) => {
    const node = batch.createNode(person("Ann"));
    batch.patchEdge(node as never, {});
  }, reference);
  await throws((batch) => batch.createEdge({ label: "KNOWS", source: other as never, target: 1 }), reference);
  assert.throws(() => late?.patchNode(other as BatchReference<"node">, {}), isTypeError);
  assert.is(store.watermark, watermark);
});

test("a batch has at most 10,000 items and 4 MiB", async () => {
  const full = await graph.batch((batch) => {
    for (let count = 0; count < 10_000; count += 1) batch.createNode({ label: "N" });
  });
  assert.equal([new Set(full.ids).size, graph.counts.nodes], [10_000, 10_000]);
  const { watermark } = store;
  await rejects(
    graph.batch((batch) => {
      for (let count = 0; count <= 10_000; count += 1) batch.createNode({ label: "N" });
    }),
    "ERR_GRAPH_BATCH_LIMIT",
  );
  await rejects(
    graph.batch((batch) => {
      for (let count = 0; count < 5; count += 1)
        batch.createNode({ label: "N", properties: { blob: new Uint8Array(2 ** 20) } });
    }),
    "ERR_GRAPH_BATCH_LIMIT",
  );
  assert.is(store.watermark, watermark);
});

test("what the caller changes after it put it in is not what is written", async () => {
  const properties: Record<string, string | Uint8Array> = { name: "Ann", bytes: Uint8Array.of(1) };
  const work = graph.batch((batch) => batch.createNode({ label: "Person", properties, validFrom: 0 }));
  properties["name"] = "Bo";
  (properties["bytes"] as Uint8Array)[0] = 2;
  const { ids } = await work;
  assert.equal({ ...graph.asOf().node(ids[0] as number)?.properties }, { name: "Ann", bytes: Uint8Array.of(1) });
});

test("others, a checkpoint and replay have the same, and bytes that are no batch are rejected as a whole", async () => {
  const { ids, lsn } = await graph.batch((batch) => {
    const nodes = [1, 2, 3].map((n) => batch.createNode({ label: "N", properties: { n }, validFrom: n }));
    for (const [index, source] of nodes.entries())
      batch.createEdge({
        label: "NEXT",
        source,
        target: nodes[(index + 1) % 3] as BatchReference<"node">,
        validFrom: 3,
      });
    batch.deleteNode(nodes[1] as BatchReference<"node">, { validFrom: 10, detach: true });
  });
  const seen = (of: Graph) => [
    of.counts,
    of.rejections,
    ...ids.slice(0, 3).map((id) => of.history("node", id).toArray()),
    ...ids.slice(3, 6).map((id) => of.history("edge", id).toArray()),
  ];
  const expected = seen(graph);
  const { directory } = store;
  {
    await using other = await openStore(directory);
    assert.equal(seen(await other.graph()), expected);
    await using reader = await openReader(directory);
    assert.equal(seen(await reader.graph()), expected);
    assert.equal((await reader.graph()).asOf({ recordedAt: { lsn: lsn - 1 } }).node(ids[0] as number), undefined);
  }
  await store.checkpoint();
  await store.close();
  for (const replays of [false, true]) {
    if (replays) rmSync(join(directory, "projections"), { recursive: true });
    await using again = await openStore(directory);
    assert.equal(seen(await again.graph()), expected);
  }
  store = await openStore(directory);
  const type = "varve.v1.GraphBatch";
  const good = encodeGraphEvent(type, { items: [{ type: "varve.v1.NodeCreated", data: { id: 1, label: "A" } }] });
  const state = new GraphState({ clock: () => 0 });
  const broken = [
    new Uint8Array(0),
    good.subarray(0, good.length - 1),
    Uint8Array.of(0x0a, 0),
    Uint8Array.of(0x0a, 2, 0x7a, 0),
    Uint8Array.of(0x0a, 3, 0x0a, 0, 0),
  ];
  for (const [index, bytes] of broken.entries()) state.apply(rawPayload(index + 1, 0, type, bytes));
  assert.equal(
    [state.counts.nodes, state.rejections.map(({ code }) => code)],
    [0, broken.map(() => "ERR_EVENTS_SCHEMA")],
  );
});

test("a batch of a subject who is forgotten is as if it had never been written", async () => {
  const base = temporaryDirectory();
  await using own = await openStore(join(base, "store"), {
    encryption: { key: keyOf(1), subjectKeys: join(base, "subjects") },
  });
  const its = await own.graph();
  const { ids } = await its.batch(
    (batch) => {
      batch.createEdge({
        label: "KNOWS",
        source: batch.createNode(person("Ann")),
        target: batch.createNode(person("Bo")),
        validFrom: 0,
      });
    },
    { subject: "ann", provenance: { note: "ann's own words" } },
  );
  const { lsn } = its;
  assert.is(its.asOf().node(ids[0] as number)?.properties["name"], "Ann");
  assert.equal(await its.provenance(lsn), { note: "ann's own words" });
  await own.forget("ann");
  await its.whenApplied(own.watermark);
  assert.equal([its.asOf().node(ids[0] as number), its.counts.nodes], [undefined, 0]);
  assert.is(await its.provenance(lsn), null);
});
