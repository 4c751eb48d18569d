import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Graph, openReader, openStore, rekeyStore, type Store } from "../../../src/index.js";
import { keyOf } from "../../encryption/support.js";
import { assert, rejects } from "../../support/assert.js";
import { runChild } from "../../support/child-process.js";
import { type SeededRandom, seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

const test = suite("projections/graph/store-vectors");

const DIMENSIONS = 8;
const NODES = 1_200;
/** Of a node that nothing else here makes. */
const LATER = 100_000;
const REFERENCE = { label: "Note", property: "embedding" };
const DEFINITION = { ...REFERENCE, dimensions: DIMENSIONS };

let directory = "";
let random: SeededRandom;
let warnings: string[] = [];
const listen = (warning: Error): unknown => warnings.push(warning.message);
test.beforeEach(() => {
  directory = join(temporaryDirectory(), "store");
  random = seededRandom(11);
  warnings = [];
  process.on("warning", listen);
});
test.afterEach(() => {
  process.off("warning", listen);
});

const randomVector = (): Float32Array => Float32Array.from({ length: DIMENSIONS }, () => random.next() - 0.5);

/** Nodes with ids from 1 on, by few appends. */
async function fill(store: Store, from: number, count: number, subject?: string): Promise<void> {
  const events = Array.from({ length: count }, (_, at) => ({
    type: "varve.v1.NodeCreated",
    data: { id: from + at, label: "Note", properties: { embedding: randomVector() }, validFrom: 0 },
    ...(subject !== undefined && { subject }),
  }));
  const { lsn } = await store.append("notes", events);
  await (await store.graph()).whenApplied(lsn);
}

async function filled(): Promise<{ store: Store; graph: Graph }> {
  const store = await openStore(directory);
  const graph = await store.graph();
  await graph.defineVectors(DEFINITION);
  await fill(store, 1, NODES);
  return { store, graph };
}

function vectorFile(of: string = directory): string {
  const projections = join(of, "projections");
  const names = existsSync(projections) ? readdirSync(projections) : [];
  const name = names.find((each) => each.startsWith("graph-vectors-"));
  return name === undefined ? "" : join(projections, name, "v1.checkpoint");
}

/** Requires that the index answers as comparing all does, but for very few. */
function requireRecall(graph: Graph): void {
  let found = 0;
  for (let turn = 0; turn < 20; turn += 1) {
    const query = { ...REFERENCE, vector: randomVector() };
    const exact = new Set(
      graph
        .asOf()
        .nearest({ ...query, exact: true })
        .map(({ id }) => id),
    );
    const near = graph.asOf().nearest(query);
    assert.is(near.length, exact.size);
    found += near.filter(({ id }) => exact.has(id)).length / exact.size;
  }
  assert.ok(found / 20 > 0.95, `recall ${found / 20}`);
}

/** Opens the store anew and its vectors; gives what opening said. */
async function reopened<Result>(
  work: (graph: Graph, store: Store, from: string, count: number) => Promise<Result>,
): Promise<Result> {
  await using store = await openStore(directory);
  const graph = await store.graph();
  const { from, count } = await graph.openVectors(REFERENCE);
  return await work(graph, store, from, count);
}

test("an index is saved on closing and by a checkpoint, loaded, and gets what it lacks", async () => {
  {
    const { store, graph } = await filled();
    assert.equal(await graph.openVectors(REFERENCE), { count: NODES, from: "nodes" });
    assert.equal(await graph.openVectors({ ...REFERENCE, threads: 2 }), { count: NODES, from: "nodes" });
    requireRecall(graph);
    assert.is(vectorFile(), "");
    await store.checkpoint();
    assert.ok(existsSync(vectorFile()));
    await fill(store, NODES + 1, 50);
    await store.close();
  }
  await reopened(async (graph, store, from, count) => {
    assert.equal([from, count], ["file", NODES + 50]);
    requireRecall(graph);
    // Unchanged, it is not written again.
    const before = readFileSync(vectorFile());
    writeFileSync(vectorFile(), "something else");
    await store.checkpoint();
    assert.is(readFileSync(vectorFile(), "utf8"), "something else");
    writeFileSync(vectorFile(), before);
  });
  {
    // Nobody opens the vectors, and others come.
    await using store = await openStore(directory);
    await store.graph();
    await fill(store, NODES + 51, 50);
  }
  await reopened(async (graph, _, from, count) => {
    assert.equal([from, count], ["file", NODES + 100]);
    requireRecall(graph);
    const vector = graph.asOf().node(NODES + 77)?.properties["embedding"] as Float32Array;
    assert.is(graph.asOf().nearest({ ...REFERENCE, vector, k: 1 })[0]?.id, NODES + 77);
    await graph.patchNode(NODES + 77, { embedding: randomVector() });
    assert.is.not(graph.asOf().nearest({ ...REFERENCE, vector, k: 1 })[0]?.id, NODES + 77);
    // Before the patch it held it, and it does so as of then.
    const view = graph.asOf({ validAt: 5, recordedAt: { lsn: graph.lsn } });
    assert.is(view.nearest({ ...REFERENCE, vector, k: 1 })[0]?.id, NODES + 77);
  });
  assert.equal(warnings, []);
});

test("a file that cannot be used is said to be none, and the index is built from the nodes", async () => {
  {
    const { store, graph } = await filled();
    await graph.openVectors(REFERENCE);
    await store.close();
  }
  const file = vectorFile();
  const good = readFileSync(file);
  const spoilt = (at: number): Buffer => {
    const bytes = Buffer.from(good);
    bytes[at] = (bytes[at] as number) ^ 1;
    return bytes;
  };
  const bad = [
    Buffer.alloc(0),
    good.subarray(0, 100),
    good.subarray(0, good.length - 1),
    ...[40, good.length >> 1].map(spoilt),
  ];
  for (const bytes of bad) {
    writeFileSync(file, bytes);
    warnings = [];
    await reopened(async (graph, _, from, count) => {
      assert.equal([from, count], ["nodes", NODES]);
      requireRecall(graph);
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.match(warnings.join("\n"), /is not used/);
    // Closing has saved what was built.
    assert.is(readFileSync(file).length, good.length);
  }
  rmSync(file);
  // What a process leaves that was killed while it saved is nothing to anybody.
  const left = `${file}.0123456789abcdef.tmp`;
  writeFileSync(left, good);
  warnings = [];
  await reopened(async (_, _store, from) => assert.is(from, "nodes"));
  assert.equal(warnings, []);
  assert.not.ok(existsSync(left));
});

test("a full disk takes nothing from anybody but the saved index", async () => {
  const { store, graph } = await filled();
  await graph.openVectors(REFERENCE);
  const probe = await open(join(directory, "..", "probe"), "w");
  const prototype = Object.getPrototypeOf(probe) as { write: (...args: unknown[]) => unknown };
  await probe.close();
  const { write } = prototype;
  const withFullDisk = async (work: () => Promise<unknown>): Promise<void> => {
    prototype.write = async () => {
      throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
    };
    try {
      await rejects(work, "ERR_PROJECTION_CHECKPOINT");
    } finally {
      prototype.write = write;
    }
  };
  // The graph's own is there, so that the vectors' turn comes.
  await store.checkpoint();
  const before = readFileSync(vectorFile());
  await graph.putNode(LATER, { label: "Note", properties: { embedding: randomVector() } });
  await withFullDisk(() => store.checkpoint());
  assert.equal(readFileSync(vectorFile()), before);
  requireRecall(graph);
  await store.checkpoint();
  assert.not.equal(readFileSync(vectorFile()), before);
  await graph.deleteNode(LATER);
  await graph.putNode(LATER + 1, { label: "Note", properties: { embedding: randomVector() } });
  await withFullDisk(() => store.close());
  await reopened(async (after, _, from, count) => {
    assert.equal([from, count], ["file", NODES + 2]);
    requireRecall(after);
  });
});

test("where nothing can be saved, the rest goes on", async () => {
  const { store, graph } = await filled();
  await graph.openVectors(REFERENCE);
  await store.checkpoint();
  const folder = join(vectorFile(), "..");
  rmSync(folder, { recursive: true });
  symlinkSync("/nowhere/at/all", folder);
  await fill(store, NODES + 1, 1);
  await rejects(store.checkpoint(), "ERR_PROJECTION_CHECKPOINT");
  rmSync(folder);
  await store.checkpoint();
  assert.ok(existsSync(vectorFile()));
  await store.close();
});

test("closing in the middle ends what is being opened, saves what is there, and the next opening goes on", async () => {
  const { store, graph } = await filled();
  await fill(store, NODES + 1, 3_000);
  const opening = rejects(graph.openVectors(REFERENCE), "ERR_STORE_CLOSED");
  const other = rejects(graph.openVectors(REFERENCE), "ERR_STORE_CLOSED");
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  await store.close();
  await Promise.all([opening, other]);
  await rejects(graph.openVectors(REFERENCE), "ERR_STORE_CLOSED");
  await reopened(async (again, _, _from, count) => {
    assert.is(count, NODES + 3_000);
    requireRecall(again);
  });
});

test("while an index is being opened, what is asked is answered exactly, and what is written is in it", async () => {
  const { store, graph } = await filled();
  const before = NODES + 8_000; // more than are entered in one turn of the loop
  await fill(store, NODES + 1, before - NODES);
  const opening = graph.openVectors(REFERENCE);
  let asked = 0;
  let isOpen = false;
  void opening.then(() => {
    isOpen = true;
  });
  while (!isOpen) {
    const query = { ...REFERENCE, vector: randomVector() };
    assert.equal(graph.asOf().nearest(query), graph.asOf().nearest({ ...query, exact: true }));
    asked += 1;
    await fill(store, before + asked, 1);
  }
  assert.ok(asked > 1);
  await opening;
  const query = { ...REFERENCE, vector: graph.asOf().node(before + 1)?.properties["embedding"] as Float32Array };
  assert.is(graph.asOf().nearest({ ...query, k: 1 })[0]?.id, before + 1);
  await store.close();
  await reopened(async (_, _store, _from, count) => assert.is(count, before + asked));
});

test("a reader opens vectors, follows the writer and saves nothing", async () => {
  const { store, graph } = await filled();
  {
    await using reader = await openReader(directory);
    const read = await reader.graph();
    assert.equal(read.vectors, graph.vectors);
    assert.equal(await read.openVectors(REFERENCE), { count: NODES, from: "nodes" });
    await fill(store, NODES + 1, 5);
    await read.whenApplied(graph.lsn);
    const vector = graph.asOf().node(NODES + 3)?.properties["embedding"] as Float32Array;
    assert.is(read.asOf().nearest({ ...REFERENCE, vector, k: 1 })[0]?.id, NODES + 3);
    await rejects(read.defineVectors({ ...DEFINITION, label: "Other" }), "ERR_STORE_READ_ONLY");
  }
  assert.is(vectorFile(), "");
  await store.close();
});

test("definitions are for all processes; what is wrong with them, or with vectors, is refused before anything is written", async () => {
  const { store, graph } = await filled();
  const [defined] = graph.vectors;
  assert.equal(await graph.defineVectors(DEFINITION), defined);
  const { watermark } = store;
  for (const wrong of [
    { dimensions: 0 },
    { dimensions: 1.5 },
    { dimensions: 16_385 },
    { dimensions: "8" },
    { metric: "hamming" },
    { storage: "f64" },
    { connectivity: 1 },
    { expansionAdd: 0 },
    { expansionSearch: 10_001 },
  ]) {
    const definition = { ...DEFINITION, label: "Other", ...wrong } as never;
    await rejects(graph.defineVectors(definition), "ERR_GRAPH_VECTORS_DEFINITION");
  }
  await rejects(graph.defineVectors({ ...DEFINITION, storage: "i8" }), "ERR_GRAPH_VECTORS_EXISTS");
  await rejects(graph.removeVectors({ ...REFERENCE, label: "Other" }), "ERR_GRAPH_VECTORS_NOT_FOUND");
  await rejects(graph.openVectors({ ...REFERENCE, label: "Other" }), "ERR_GRAPH_VECTORS_NOT_FOUND");
  const isTypeError = (error: Error): boolean => error instanceof TypeError;
  for (const wrong of [{ label: "" }, { property: 5 }, { quantization: "i8" }])
    await rejects(graph.defineVectors({ ...DEFINITION, ...wrong } as never), isTypeError);
  for (const wrong of [{ threads: 0 }, { threads: 65 }, { dimensions: 8 }])
    await rejects(graph.openVectors({ ...REFERENCE, ...wrong } as never), isTypeError);
  for (const embedding of [Float32Array.of(1), [1, 2], "text", new Float32Array(DIMENSIONS)]) {
    const properties = { embedding } as never;
    const code = Array.isArray(embedding) ? "ERR_GRAPH_INVALID_PROPERTY" : "ERR_GRAPH_INVALID_VECTOR";
    await rejects(graph.createNode({ label: "Note", properties }), code);
    await rejects(graph.putNode(1, { label: "Note", properties }), code);
    await rejects(graph.patchNode(1, properties), code);
    await rejects(graph.replaceNode(1, properties), code);
  }
  const properties = { embedding: new Float32Array(DIMENSIONS).fill(Number.NaN) };
  await rejects(graph.createNode({ label: "Note", properties }), "ERR_GRAPH_INVALID_PROPERTY");
  assert.is(store.watermark, watermark);
  assert.is(graph.rejectedCount, 0);
  await store.close();
});

test("batches and upserts are held to vectors, and their nodes are found by the index", async () => {
  const store = await openStore(directory);
  const graph = await store.graph();
  await graph.defineVectors(DEFINITION);
  const { id } = await graph.createNode({ label: "Note", properties: { embedding: randomVector() } });
  await graph.openVectors(REFERENCE);
  await graph.addConstraint({ kind: "unique", label: "Note", property: "name" });
  const { watermark } = store;
  const wrong = { embedding: Float32Array.of(1) };
  await rejects(
    graph.batch((batch) => {
      batch.createNode({ label: "Note", properties: { embedding: randomVector() } });
      batch.patchNode(id, wrong);
    }),
    "ERR_GRAPH_INVALID_VECTOR",
  );
  const upsert = { label: "Note", key: "name", validFrom: 0 };
  await rejects(graph.upsertNode({ ...upsert, properties: { name: "a", ...wrong } }), "ERR_GRAPH_INVALID_VECTOR");
  assert.is(graph.rejectedCount, 0);
  assert.equal(await writtenAfter(store, watermark), []);

  const vectors = [randomVector(), randomVector(), randomVector()] as [Float32Array, Float32Array, Float32Array];
  const { ids } = await graph.batch((batch) => {
    batch.createNode({ label: "Note", properties: { embedding: vectors[0] }, validFrom: 0 });
  });
  const upserted = await graph.upsertNode({ ...upsert, properties: { name: "a", embedding: vectors[1] } });
  const again = await graph.upsertNode({ ...upsert, properties: { name: "a", embedding: vectors[2] } });
  assert.is(again.id, upserted.id);
  const nearest = (vector: Float32Array): number | undefined =>
    graph.asOf().nearest({ ...REFERENCE, vector, k: 1 })[0]?.id;
  assert.equal([nearest(vectors[0]), nearest(vectors[2])], [ids[0], upserted.id]);
  await store.close();
});

/** What was written after an LSN but for ids that were reserved. */
async function writtenAfter(store: Store, after: number): Promise<string[]> {
  const types: string[] = [];
  for await (const { type } of store.readAll({ after })) if (!type.endsWith("IdsReserved")) types.push(type);
  return types;
}

test("definitions that are removed take their index and its file with them", async () => {
  const { store, graph } = await filled();
  await graph.openVectors(REFERENCE);
  await store.checkpoint();
  assert.ok(existsSync(vectorFile()));
  await graph.removeVectors(REFERENCE);
  assert.not.ok(existsSync(vectorFile()));
  assert.equal(graph.vectors, []);
  await rejects(
    async () => graph.asOf().nearest({ ...REFERENCE, vector: randomVector() }),
    "ERR_GRAPH_VECTORS_NOT_FOUND",
  );
  // Of another size: what the nodes hold counts no more.
  await graph.defineVectors({ ...REFERENCE, dimensions: 2, metric: "l2" });
  assert.equal(await graph.openVectors(REFERENCE), { count: 0, from: "nodes" });
  const id = LATER;
  await graph.putNode(id, { label: "Note", properties: { embedding: Float32Array.of(3, 4) } });
  assert.equal(graph.asOf().nearest({ ...REFERENCE, vector: [0, 0] }), [{ id, distance: 5 }]);
  await store.close();
  await reopened(async (_, _store, from, count) => assert.equal([from, count], ["file", 1]));
});

test("the vectors of a forgotten subject are in no index and no file any more, wherever the graph runs", async () => {
  const subjectKeys = join(directory, "..", "subjects");
  const options = { encryption: { key: keyOf(1), subjectKeys } };
  const store = await openStore(directory, options);
  const graph = await store.graph();
  await graph.defineVectors(DEFINITION);
  await fill(store, 1, NODES);
  await fill(store, NODES + 1, 50, "ann");
  await graph.openVectors(REFERENCE);
  await store.checkpoint();
  const other = await openStore(directory, options);
  const theirs = await other.graph();
  assert.equal(await theirs.openVectors(REFERENCE), { count: NODES + 50, from: "file" });
  const saved = readFileSync(vectorFile());
  assert.not.ok(saved.includes("definition"), "it is encrypted");
  const vector = graph.asOf().node(NODES + 7)?.properties["embedding"] as Float32Array;
  assert.is(theirs.asOf().nearest({ ...REFERENCE, vector, k: 1 })[0]?.id, NODES + 7);

  const { lsn } = await store.forget("ann");
  assert.not.ok(existsSync(vectorFile()));
  for (const each of [graph, theirs]) {
    await each.whenApplied(lsn);
    const near = each.asOf().nearest({ ...REFERENCE, vector, k: 100 });
    assert.not.ok(near.some(({ id }) => id > NODES));
    assert.is((await each.openVectors(REFERENCE)).count, NODES);
    requireRecall(each);
  }
  // An older copy of the file comes back: it is not believed.
  await store.close();
  await other.close();
  writeFileSync(vectorFile(), saved);
  await using again = await openStore(directory, options);
  const { count, from } = await (await again.graph()).openVectors(REFERENCE);
  assert.equal([from, count], ["nodes", NODES]);
});

test("the file goes over to another key with everything else", async () => {
  const store = await openStore(directory, { encryption: { key: keyOf(1) } });
  const graph = await store.graph();
  await graph.defineVectors(DEFINITION);
  await fill(store, 1, NODES);
  await graph.openVectors(REFERENCE);
  await store.close();
  await rekeyStore(directory, { encryption: { key: keyOf(2), otherKeys: [keyOf(1)] } });
  await using again = await openStore(directory, { encryption: { key: keyOf(2) } });
  assert.equal(await (await again.graph()).openVectors(REFERENCE), { count: NODES, from: "file" });
});

test("without the package the vectors are not opened, and everything else goes on", async () => {
  {
    await using store = await openStore(directory);
    const graph = await store.graph();
    await graph.defineVectors({ ...REFERENCE, dimensions: 2 });
    const events = Array.from({ length: 20_100 }, (_, at) => ({
      type: "varve.v1.NodeCreated",
      data: {
        id: at + 1,
        label: "Note",
        properties: { embedding: Float32Array.of(Math.cos(at), Math.sin(at)) },
        validFrom: 0,
      },
    }));
    for (let from = 0; from < events.length; from += 2_000)
      await store.append("notes", events.slice(from, from + 2_000));
  }
  const child = new URL("../children/no-peer.js", import.meta.url);
  const { code, stdout, stderr } = await runChild(child, { arguments: [directory] });
  assert.is(code, 0, stderr);
  const answered = JSON.parse(stdout);
  const [nearest] = answered.exact;
  assert.equal(answered, {
    opening: "ERR_GRAPH_VECTORS_PEER",
    again: "ERR_GRAPH_VECTORS_PEER",
    many: "ERR_GRAPH_VECTORS_CLOSED",
    exact: answered.exact,
    few: [{ id: answered.few[0].id, distance: 1 }],
    wrong: "ERR_GRAPH_INVALID_VECTOR",
    read: 2,
  });
  assert.equal(nearest, { id: 1, distance: 0 });
});

test("whenever its process is killed, what is loaded answers as what the nodes hold", async () => {
  const child = fileURLToPath(new URL("../children/vector-writer.js", import.meta.url));
  mkdirSync(directory, { recursive: true });
  let durable = 0;
  for (let kill = 0; kill < 4; kill += 1) {
    const writer = spawn(process.execPath, [child, directory], { stdio: ["ignore", "pipe", "inherit"] });
    const ended = new Promise((resolve) => writer.on("close", resolve));
    let lines = 0;
    for await (const line of createInterface({ input: writer.stdout })) {
      durable = Math.max(durable, Number(line));
      lines += 1;
      if (lines === 4) setTimeout(() => writer.kill("SIGKILL"), kill * 5);
    }
    await ended;
    await reopened(async (graph, _, from, count) => {
      assert.is(from, "file");
      assert.is(count, graph.counts.nodes);
      assert.ok(count >= durable);
      for (const { id, properties } of graph.asOf().find({ label: "Note" })) {
        const vector = properties["embedding"] as Float32Array;
        assert.is(graph.asOf().nearest({ ...REFERENCE, vector, k: 1 })[0]?.id, id);
      }
    });
  }
  assert.equal(warnings, []);
});
