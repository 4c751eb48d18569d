import { rmSync } from "node:fs";
import { join } from "node:path";
import { type Graph, openReader, openStore } from "../../../src/index.js";
import { encodeGraphEvent } from "../../../src/projections/graph/graph-event-codec.js";
import { GraphState } from "../../../src/projections/graph/graph-state.js";
import { assert, rejects } from "../../support/assert.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";
import { rawEvent, rawPayload } from "./raw-events.js";

const test = suite("projections/graph/named-snapshots");

/** What every named view answers about a node. */
function answers(graph: Graph, id: number): unknown[] {
  return graph.snapshots.map(({ name, validAt, lsn }) => {
    const view = graph.snapshot(name);
    assert.equal([view.validAt, view.lsn], [validAt, lsn]);
    return [name, view.node(id)?.properties["version"] ?? null, view.truncatedBefore];
  });
}

test("a name is the same point for other writers, readers and after reopening, from a checkpoint and without", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory);
  const graph = await store.graph();
  const empty = await graph.nameSnapshot("empty", { validAt: 5 });
  assert.equal([empty.validAt, empty.lsn < empty.namedBy], [5, true]);
  const { id, lsn } = await graph.createNode({ label: "Person", properties: { version: 1 }, validFrom: 0 });
  const first = await graph.nameSnapshot("erste Fassung ✓");
  await graph.patchNode(id, { version: 2 }, { validFrom: 0 });
  await graph.nameSnapshot("__proto__", { validAt: 7 });
  await graph.nameSnapshot("by LSN", { validAt: 7, recordedAt: { lsn } });
  await graph.patchNode(id, { version: 3 }, { validFrom: 0 });
  const expected = [
    ["empty", null, null],
    ["erste Fassung ✓", 1, null],
    ["__proto__", 2, null],
    ["by LSN", 1, null],
  ];
  assert.equal(answers(graph, id), expected);
  assert.equal(graph.snapshots[1], first);
  await using other = await openStore(directory);
  assert.equal(answers(await other.graph(), id), expected);
  await using reader = await openReader(directory);
  assert.equal(answers(await reader.graph(), id), expected);
  await store.checkpoint();
  await store.close();
  for (const remove of [false, true]) {
    if (remove) rmSync(join(directory, "projections"), { recursive: true });
    await using again = await openStore(directory);
    assert.equal(answers(await again.graph(), id), expected);
  }
  await using last = await openStore(directory);
  const reopened = await last.graph();
  const removed = await reopened.removeSnapshot("by LSN");
  assert.ok(removed.lsn > lsn);
  assert.equal(answers(reopened, id), expected.slice(0, 3));
  assert.equal((await reopened.nameSnapshot("by LSN", { recordedAt: { lsn: 0 }, validAt: 0 })).lsn, 0);
  await reopened.purge({ recordedBefore: reopened.recordedAtOf(reopened.lsn) ?? 0 });
  const horizon = reopened.truncatedBefore;
  assert.equal(answers(reopened, id)[1], ["erste Fassung ✓", null, horizon]);
});

test("a name that is taken, or that nothing has, is refused and changes nothing", async () => {
  const directory = join(temporaryDirectory(), "store");
  await using store = await openStore(directory);
  const graph = await store.graph();
  const named = await graph.nameSnapshot("a");
  const { watermark } = store;
  await rejects(graph.nameSnapshot("a", { validAt: 0 }), "ERR_GRAPH_SNAPSHOT_EXISTS");
  await rejects(graph.removeSnapshot("b"), "ERR_GRAPH_SNAPSHOT_NOT_FOUND");
  await rejects(() => graph.snapshot("b"), "ERR_GRAPH_SNAPSHOT_NOT_FOUND");
  await rejects(graph.nameSnapshot("c", { validAt: 2 ** 53 }), "ERR_GRAPH_INVALID_PERIOD");
  const isTypeError = (error: Error) => error instanceof TypeError;
  for (const name of ["", "x".repeat(257), "\ud800", 7 as unknown as string]) {
    await rejects(graph.nameSnapshot(name), isTypeError);
    await rejects(graph.removeSnapshot(name), isTypeError);
    await rejects(() => graph.snapshot(name), isTypeError);
  }
  await rejects(graph.nameSnapshot("c", { at: 1 } as object), isTypeError);
  await rejects(graph.nameSnapshot("c", { recordedAt: { lsn: 99 } }), (error) => error instanceof RangeError);
  assert.equal([graph.snapshots, store.watermark], [[named], watermark]);
  await using reader = await openReader(directory);
  await rejects((await reader.graph()).nameSnapshot("r"), "ERR_STORE_READ_ONLY");
});

test("of two at once that give the same name one has it, for everybody", async () => {
  const directory = join(temporaryDirectory(), "store");
  await using store = await openStore(directory);
  await using other = await openStore(directory);
  const graphs = [await store.graph(), await other.graph()];
  const results = await Promise.allSettled(
    Array.from({ length: 6 }, (_, index) => (graphs[index % 2] as Graph).nameSnapshot("one", { validAt: index })),
  );
  const won = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const codes = results.flatMap((result) => (result.status === "rejected" ? [result.reason.code] : []));
  assert.equal([won.length, codes], [1, Array.from({ length: 5 }, () => "ERR_GRAPH_SNAPSHOT_EXISTS")]);
  for (const graph of graphs) {
    await graph.whenApplied(store.watermark);
    assert.equal(graph.snapshots, won);
  }
});

test("what is wrong at its own LSN is rejected there, and bytes that are none are as well", () => {
  const state = new GraphState({ clock: () => 0 });
  const named = "varve.v1.GraphSnapshotNamed";
  const bytes = (type: string, data: object) => encodeGraphEvent(type, data);
  const payloads: (readonly [string, Uint8Array])[] = [
    [named, bytes(named, { name: "own", validAt: 1, lsn: 1 })],
    [named, bytes(named, { name: "a", validAt: 1, lsn: 1 })],
    [named, bytes(named, { name: "a", validAt: 1, lsn: 1 })],
    ["varve.v1.GraphSnapshotRemoved", bytes("varve.v1.GraphSnapshotRemoved", { name: "b" })],
    [named, Uint8Array.of(0x0a, 0x00)],
    [named, Uint8Array.of(0x0a, 0x05, 0x61)],
    [named, bytes(named, { name: "n", validAt: 1, lsn: 2 }).subarray(0, 3)],
    [named, Uint8Array.of(0x0a, 0x01, 0xff, 0x11, 0, 0, 0, 0, 0, 0, 0, 0)],
    [named, Uint8Array.of(0x0a, 0x01, 0x61, 0x11, 0, 0, 0, 0, 0, 0, 0, 0x7f)],
    ["varve.v1.GraphSnapshotRemoved", new Uint8Array(0)],
    // A field that is not known is stepped over.
    [named, Uint8Array.of(0x0a, 0x01, 0x7a, 0x11, 9, 0, 0, 0, 0, 0, 0, 0, 0x78, 0x01)],
  ];
  for (const [index, [type, payload]] of payloads.entries()) {
    state.apply(rawPayload(index + 1, index, type, payload));
  }
  const schema = "ERR_EVENTS_SCHEMA";
  assert.equal(
    payloads.map((_, index) => state.rejectionAt(index + 1)?.code),
    [
      schema,
      undefined,
      "ERR_GRAPH_SNAPSHOT_EXISTS",
      "ERR_GRAPH_SNAPSHOT_NOT_FOUND",
      schema,
      schema,
      schema,
      schema,
      "ERR_GRAPH_INVALID_PERIOD",
      schema,
      undefined,
    ],
  );
  assert.equal(state.snapshots, [
    { name: "a", validAt: 1, lsn: 1, namedBy: 2 },
    { name: "z", validAt: 9, lsn: 0, namedBy: 11 },
  ]);
  const decoded = GraphState.decode(state.encode());
  assert.equal(decoded.snapshots, state.snapshots);
  assert.equal(Buffer.concat([...decoded.encode()]), Buffer.concat([...state.encode()]));
});

test("there are at most 10,000 names", () => {
  const state = new GraphState({ clock: () => 0 });
  for (let lsn = 1; lsn <= 10_001; lsn += 1) {
    const data = { name: `n${lsn}`, validAt: 0, lsn: 0 };
    state.apply(rawEvent({ lsn, recordedAt: 0, type: "GraphSnapshotNamed", data }));
  }
  assert.equal([state.snapshots.length, state.rejectionAt(10_001)?.code], [10_000, "ERR_GRAPH_FULL"]);
  const removal = { lsn: 10_002, recordedAt: 0, type: "GraphSnapshotRemoved", data: { name: "n1" } };
  state.apply(rawEvent(removal));
  state.apply(
    rawEvent({ lsn: 10_003, recordedAt: 0, type: "GraphSnapshotNamed", data: { name: "n1", validAt: 0, lsn: 1 } }),
  );
  assert.is(state.snapshots.at(-1)?.namedBy, 10_003);
});
