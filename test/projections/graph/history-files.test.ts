import {
  appendFileSync,
  copyFileSync,
  cpSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  type Graph,
  type GraphResults,
  isStoreError,
  openReader,
  openStore,
  rekeyStore,
  type Store,
  type StoreOptions,
} from "../../../src/index.js";
import { keyOf } from "../../encryption/support.js";
import { assert, rejects } from "../../support/assert.js";
import { runChild } from "../../support/child-process.js";
import { loopDiskProblem, MemoryDisk } from "../../support/loop-disk.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

const test = suite("projections/graph/history-files");

const ALL = { historyInMemoryDays: 0 };
const MOVING = new URL("./children/moving-history.js", import.meta.url);
const NODES = 40;
const CORRECTIONS = 5;

interface Filled {
  readonly ids: readonly number[];
  readonly edge: number;
  readonly lsns: readonly number[];
}

/** Nodes that are corrected several times, an edge that is, and a node that is deleted; `mark` is in what was superseded. */
async function fill(graph: Graph, mark = "former"): Promise<Filled> {
  const ids: number[] = [];
  const lsns: number[] = [];
  const created = Array.from({ length: NODES }, (_, at) =>
    graph.createNode({ label: "Person", properties: { name: `${mark} ${at}`, round: -1 }, validFrom: 0 }),
  );
  for (const { id } of await Promise.all(created)) ids.push(id);
  const [a = 0, b = 0, gone = 0] = ids;
  const edge = (
    await graph.createEdge({ label: "KNOWS", source: a, target: b, properties: { since: 1 }, validFrom: 0 })
  ).id;
  for (let round = 0; round < CORRECTIONS; round += 1) {
    lsns.push(graph.lsn);
    const change = { name: `${round === CORRECTIONS - 1 ? "last" : mark} ${round}`, round };
    await graph.batch((batch) => {
      for (const id of ids) batch.patchNode(id, change, { validFrom: round * 10 });
      batch.patchEdge(edge, { since: round + 2 }, { validFrom: round * 10 });
    });
  }
  await graph.deleteNode(gone, { validFrom: 25, detach: true });
  lsns.push(graph.lsn);
  return { ids, edge, lsns };
}

/** What the graph says, by every question that history answers. */
async function answers(graph: Graph, { ids, edge, lsns }: Filled): Promise<unknown> {
  const views = lsns.flatMap((lsn) => [5, 15, 100].map((validAt) => graph.asOf({ validAt, recordedAt: { lsn } })));
  const [first = graph.asOf(), ...others] = views;
  const lineage = await graph.lineage("node", ids[3] as number, { property: "name", validAt: 5 });
  return JSON.stringify([
    views.map((view) => [
      ...ids.map((id) => view.node(id)),
      view.edge(edge),
      [...view.find({ label: "Person", where: { round: 1 } })],
    ]),
    ids.map((id) => [
      [...graph.history("node", id)],
      [...graph.history("node", id, { at: "recorded", coalesce: true })],
    ]),
    [...graph.history("edge", edge)],
    [...graph.between("node", ids[0] as number, { recorded: { from: { lsn: lsns[1] as number } } })],
    [
      ...graph.overlaps(
        { kind: "node", id: ids[0] as number },
        { kind: "edge", id: edge },
        { recordedAt: { lsn: lsns[1] as number } },
      ),
    ],
    graph.versionAt("node", ids[2] as number, { validAt: 30, recordedAt: { lsn: lsns[0] as number } }),
    [...graph.changes({ limit: 10_000 })],
    others.map((view) => [...graph.diff(first, view)]),
    [
      ...graph
        .during({ recordedAt: { lsn: lsns[2] as number } })
        .match()
        .from(ids[0] as number)
        .out("KNOWS"),
    ],
    [lineage.lsn, lineage.version],
  ]);
}

function folder(directory: string): string {
  return join(directory, "projections", "graph");
}

function filesIn(directory: string, end = ".history"): string[] {
  return readdirSync(folder(directory)).filter((name) => name.endsWith(end));
}

async function filled(
  options: StoreOptions = {},
): Promise<{ directory: string; store: Store; graph: Graph; all: Filled; before: unknown }> {
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory, options);
  const graph = await store.graph(ALL);
  const all = await fill(graph);
  return { directory, store, graph, all, before: await answers(graph, all) };
}

test("what was superseded goes to a file at a checkpoint, and every question is answered as before", async () => {
  const { directory, store, graph, all, before } = await filled();
  const old = graph.asOf({ validAt: 5, recordedAt: { lsn: all.lsns[0] as number } });
  const inMemory = graph.memory;
  assert.is(inMemory.supersededInFiles, 0);
  assert.ok(inMemory.supersededInMemory > NODES * CORRECTIONS);
  await store.checkpoint();
  const { memory } = graph;
  assert.is(memory.supersededInMemory, 0);
  assert.is(memory.supersededInFiles, inMemory.supersededInMemory);
  assert.is(filesIn(directory).length, 1);
  assert.ok(memory.bytes < inMemory.bytes / 1.5, `${memory.bytes} of ${inMemory.bytes} bytes`);
  assert.is(old.node(all.ids[1] as number)?.properties["name"], "former 1");
  assert.is(await answers(graph, all), before);
  await store.close();
  const again = await openStore(directory);
  const read = await again.graph();
  assert.is(read.memory.supersededInMemory, 0);
  assert.is(await answers(read, all), before);
  await using reader = await openReader(directory);
  assert.is(await answers(await reader.graph(), all), before);
  await again.close();
});

test("new history follows in files of its own, in parts of the checkpoint too, and files that are small are taken up", async () => {
  const { directory, store, graph, all } = await filled();
  await store.checkpoint();
  for (let round = 0; round < 12; round += 1) {
    await graph.patchNode(all.ids[3 + round] as number, { round: 100 + round }, { validFrom: 45 });
    await store.checkpoint();
    if (round === 0) assert.is(graph.memory.supersededInMemory, 1, "a few are not worth it");
  }
  for (const id of all.ids) await graph.patchNode(id, { round: 7 }, { validFrom: 50 }).catch(() => undefined);
  await store.checkpoint();
  assert.is(graph.memory.supersededInMemory, 0);
  assert.ok(filesIn(directory).length <= 3);
  const before = await answers(graph, all);
  await store.close();
  const again = await openStore(directory);
  assert.is(await answers(await again.graph(), all), before);
  rmSync(join(directory, "projections"), { recursive: true });
  await again.close();
  const straight = await openStore(directory);
  assert.is(await answers(await straight.graph(), all), before);
  await straight.close();
});

test("a purge takes versions out of the files too", async () => {
  const { directory, store, graph, all } = await filled();
  await store.checkpoint();
  const horizon = graph.recordedAtOf(all.lsns[2] as number) as number;
  const first = readFileSync(join(folder(directory), filesIn(directory)[0] as string));
  assert.ok(first.includes("former 7"));
  await graph.purge({ recordedBefore: horizon });
  const purged = await answers(graph, all);
  assert.ok(graph.memory.supersededInFiles > 0);
  await store.checkpoint();
  const [rest = "", ...others] = filesIn(directory);
  assert.equal(others, []);
  assert.not.ok(readFileSync(join(folder(directory), rest)).includes("former 7"));
  assert.is(await answers(graph, all), purged);
  await store.close();
  rmSync(join(directory, "projections"), { recursive: true });
  const straight = await openStore(directory);
  const replayed = await straight.graph(ALL);
  assert.is(await answers(replayed, all), purged);
  await replayed.purge({ recordedBefore: replayed.asOf().recordedAt });
  await straight.checkpoint();
  assert.equal(filesIn(directory), []);
  assert.is(replayed.memory.supersededInFiles, 0);
  await straight.close();
});

test("constraints, versions and upserts are judged without the files", async () => {
  const { directory, store, graph, all } = await filled();
  await store.checkpoint();
  const [a = 0, , gone = 0] = all.ids;
  for (const name of filesIn(directory)) writeFileSync(join(folder(directory), name), "");
  const version = graph.versionAt.bind(graph);
  assert.throws(() => version("node", a, { recordedAt: { lsn: all.lsns[0] as number } }), isHistoryError);
  const { lsn } = await graph.putNode(gone, {
    label: "Person",
    properties: { name: "again" },
    validFrom: 25,
    expectedVersion: all.lsns.at(-1) as number,
  });
  await graph.addConstraint({ kind: "required", label: "Person", property: "name" });
  await rejects(graph.patchNode(a, { name: null }, { validFrom: 0 }), "ERR_GRAPH_REQUIRED_PROPERTY");
  assert.is(graph.asOf({ recordedAt: { lsn } }).node(gone)?.properties["name"], "again");
  await store.close();
});

function isHistoryError(error: unknown): boolean {
  return isStoreError(error, "ERR_GRAPH_HISTORY");
}

test("a damaged page fails what needs it, the present is answered, and the graph is rebuilt", async () => {
  const { directory, store, graph, all, before } = await filled();
  await store.checkpoint();
  const path = join(folder(directory), filesIn(directory)[0] as string);
  const bytes = readFileSync(path);
  await store.close();
  const at = bytes.indexOf("former 7");
  bytes[at] = (bytes[at] as number) ^ 1;
  writeFileSync(path, bytes);
  const again = await openStore(directory);
  await using reader = await openReader(directory);
  const damaged = await again.graph();
  void graph;
  const now = damaged.asOf();
  const old = { validAt: 5, recordedAt: { lsn: all.lsns[0] as number } };
  assert.is(damaged.memory.supersededInMemory, 0);
  assert.throws(() => damaged.asOf(old).node(all.ids[7] as number), isHistoryError);
  const read = await reader.graph();
  assert.throws(() => read.history("node", all.ids[7] as number).toArray(), isHistoryError);
  assert.is(now.node(all.ids[1] as number)?.properties["round"], CORRECTIONS - 1);
  for (let tries = 0; damaged.memory.supersededInFiles > 0 && tries < 200; tries += 1) await delay(25);
  assert.is(await answers(damaged, all), before);
  await damaged.patchNode(all.ids[0] as number, { round: 9 }, { validFrom: 0 });
  await again.close();
  const healed = await openStore(directory);
  assert.is((await healed.graph()).asOf(old).node(all.ids[7] as number)?.properties["name"], "former 7");
  await healed.close();
});

for (const [what, harm] of [
  ["missing", (path: string) => rmSync(path)],
  ["cut", (path: string) => truncateSync(path, 1000)],
  ["longer", (path: string) => appendFileSync(path, "more")],
  ["empty", (path: string) => truncateSync(path, 0)],
  [
    "of another format",
    (path: string) => {
      const bytes = readFileSync(path);
      bytes.writeUInt32LE(3, 8);
      writeFileSync(path, bytes);
    },
  ],
] as const) {
  test(`where a file is ${what}, the graph is built from the log`, async () => {
    const { directory, store, all, before } = await filled();
    await store.close();
    harm(join(folder(directory), filesIn(directory)[0] as string));
    const again = await openStore(directory);
    const graph = await again.graph();
    assert.is(graph.memory.supersededInFiles, 0);
    assert.is(await answers(graph, all), before);
    await graph.patchNode(all.ids[0] as number, { round: 9 }, { validFrom: 0 });
    await again.checkpoint();
    assert.equal(filesIn(directory), []);
    await again.close();
  });
}

test("a file of another checkpoint is not taken for the one that is named", async () => {
  const { directory, store, graph, all } = await filled();
  await store.checkpoint();
  const [first = ""] = filesIn(directory);
  const other = join(folder(directory), "kept");
  copyFileSync(join(folder(directory), first), other);
  for (const id of all.ids) await graph.patchNode(id, { round: 70 }, { validFrom: 0 }).catch(() => undefined);
  for (const id of all.ids) await graph.patchNode(id, { round: 71 }, { validFrom: 0 }).catch(() => undefined);
  const before = await answers(graph, all);
  await store.close();
  for (const name of filesIn(directory)) if (name !== first) copyFileSync(other, join(folder(directory), name));
  const again = await openStore(directory);
  assert.is(await answers(await again.graph(), all), before);
  await again.close();
});

test("killed at each step, the checkpoint before or the new one is there, and what is left over goes", async () => {
  const { directory, store, graph, all } = await filled();
  await (await openStore(directory)).close();
  const before = folder(`${directory}-before`);
  // Without the option: as it was before anything moved.
  const plain = await openStore(directory);
  await plain.graph();
  await plain.checkpoint();
  cpSync(folder(directory), before, { recursive: true });
  await plain.close();
  await graph.patchNode(all.ids[0] as number, { round: 50 }, { validFrom: 0 });
  const expected = await answers(graph, all);
  await store.close();
  const [file = ""] = filesIn(directory);
  const whole = readFileSync(join(folder(directory), file));
  const steps: (readonly [string, Buffer])[] = [
    [`${file}.tmp`, whole.subarray(0, 500)],
    [`${file}.tmp`, whole],
    [file, whole],
  ];
  for (const [name, bytes] of steps) {
    rmSync(folder(directory), { recursive: true });
    cpSync(before, folder(directory), { recursive: true });
    writeFileSync(join(folder(directory), name), bytes);
    const again = await openStore(directory);
    const opened = await again.graph();
    assert.is(opened.memory.supersededInFiles, 0);
    assert.is(await answers(opened, all), expected);
    await again.checkpoint();
    assert.equal([...filesIn(directory), ...filesIn(directory, ".tmp")], []);
    await again.close();
  }
});

for (const step of ["temporary", "history", "checkpoint"]) {
  test(`a process that is killed while it moves history loses none: killed when the ${step} file is there`, async () => {
    const directory = join(temporaryDirectory(), "store");
    const store = await openStore(directory);
    const all = await fill(await store.graph());
    await store.close();
    const { signal, stdout, stderr } = await runChild(MOVING, {
      arguments: [directory, String(all.ids[0]), step],
    });
    assert.is(signal, "SIGKILL", stderr);
    assert.is(filesIn(directory).length, step === "temporary" ? 0 : 1);
    const again = await openStore(directory);
    const graph = await again.graph();
    assert.ok(graph.lsn >= Number(stdout));
    assert.is(graph.memory.supersededInFiles > 0, step === "checkpoint");
    assert.is(graph.asOf().node(all.ids[0] as number)?.properties["round"], 1000);
    await graph.patchNode(all.ids[1] as number, { round: 2 }, { validFrom: 1000 });
    await again.checkpoint();
    const left = readdirSync(folder(directory)).filter((name) => name.includes(".history"));
    assert.is(left.length, graph.memory.historyFiles, left.join());
    const after = await answers(graph, all);
    await again.close();
    rmSync(join(directory, "projections"), { recursive: true });
    const straight = await openStore(directory);
    const replayed = await straight.graph();
    assert.is(await answers(replayed, all), after);
    await straight.close();
  });
}

test("two processes move history beside each other, and both answer as the log does", async () => {
  const { directory, store, graph, all } = await filled();
  const rounds = 12;
  const other = runChild(MOVING, { arguments: [directory, String(all.ids[0]), "rounds", String(rounds)] });
  for (let round = 0; round < rounds; round += 1) {
    for (const id of all.ids.slice(1, 9))
      await graph.patchNode(id, { round: 500 + round }, { validFrom: 0 }).catch(() => 0);
    await store.checkpoint();
  }
  const { code, stdout, stderr } = await other;
  assert.is(code, 0, stderr);
  const acknowledged = stdout.trim().split("\n").map(Number);
  assert.is(acknowledged.length, rounds);
  await graph.whenApplied(acknowledged.at(-1) as number);
  assert.is(graph.asOf().node(all.ids[0] as number)?.properties["round"], 1000 + rounds - 1);
  const given = await answers(graph, all);
  await store.close();
  const again = await openStore(directory);
  assert.is(await answers(await again.graph(), all), given);
  await again.close();
  rmSync(join(directory, "projections"), { recursive: true });
  const straight = await openStore(directory);
  assert.is(await answers(await straight.graph(), all), given);
  await straight.close();
});

test("two writers move history beside each other, and neither takes the other's files", async () => {
  const { directory, store, graph, all, before } = await filled();
  const other = await openStore(directory);
  const theirs = await other.graph(ALL);
  assert.is(await answers(theirs, all), before);
  await Promise.all([store.checkpoint(), other.checkpoint()]);
  assert.is(theirs.memory.supersededInMemory, 0);
  await graph.patchNode(all.ids[0] as number, { round: 50 }, { validFrom: 0 });
  await store.checkpoint();
  await other.checkpoint();
  await theirs.whenApplied(graph.lsn);
  assert.is(await answers(graph, all), await answers(theirs, all));
  const expected = await answers(graph, all);
  await other.close();
  await store.close();
  const again = await openStore(directory);
  const opened = await again.graph();
  assert.is(await answers(opened, all), expected);
  await opened.patchNode(all.ids[0] as number, { round: 51 }, { validFrom: 0 });
  await again.checkpoint();
  assert.is(filesIn(directory).length, opened.memory.historyFiles);
  await again.close();
});

test("closed while it moves, it is moved; what was made before says that the store is closed", async () => {
  const { directory, store, graph, all, before } = await filled();
  const old = graph.asOf({ validAt: 5, recordedAt: { lsn: all.lsns[0] as number } });
  const saving = store.checkpoint().catch(() => undefined);
  await store.close();
  await saving;
  assert.throws(
    () => old.node(all.ids[1] as number),
    (error: unknown) => isStoreError(error, "ERR_STORE_CLOSED"),
  );
  const again = await openStore(directory);
  assert.is(await answers(await again.graph(), all), before);
  await again.close();
});

/** Questions that superseded versions answer, all as of an instant before now. */
function lazyQuestions(graph: Graph, { ids, edge, lsns }: Filled): Record<string, GraphResults<unknown>> {
  const [id = 0] = ids;
  const recordedAt = { lsn: lsns[3] as number };
  const old = graph.asOf({ validAt: 15, recordedAt });
  const older = graph.asOf({ validAt: 15, recordedAt: { lsn: lsns[1] as number } });
  return {
    history: graph.history("node", id),
    recorded: graph.history("node", id, { at: "recorded", coalesce: true }),
    ofEdge: graph.history("edge", edge),
    between: graph.between("node", id, { recorded: { from: { lsn: lsns[1] as number } } }),
    overlaps: graph.overlaps({ kind: "node", id }, { kind: "edge", id: edge }, { recordedAt }),
    changes: graph.changes({ limit: 3 }),
    find: old.find({ label: "Person", where: { round: 1 } }),
    match: old.match().label("Person").rows(),
    diff: graph.diff(older, old),
    during: graph.during({ recordedAt }).match().label("Person").rows(),
  };
}

test("results that were left lying go on after a move, as of their instant, and can be read again", async () => {
  const { store, graph, all } = await filled();
  const asked = Object.entries(lazyQuestions(graph, all)).map(([name, results]) => {
    const expected = JSON.stringify(results.toArray());
    const iterator = results[Symbol.iterator]();
    return { name, results, expected, iterator, first: iterator.next().value };
  });
  await graph.patchNode(all.ids[0] as number, { round: 60 }, { validFrom: 0 });
  await store.checkpoint();
  assert.is(graph.memory.supersededInMemory, 0);
  for (const { name, results, expected, iterator, first } of asked) {
    assert.is(JSON.stringify([first, ...iterator]), expected, name);
    assert.is(JSON.stringify(results.toArray()), expected, `${name}, read again`);
    assert.ok(results.count() > 1, name);
  }
  await store.close();
});

test("a purge of what lies in files, in the middle of reading, gives what it does where nothing was moved", async () => {
  const read = async (moves: boolean): Promise<unknown> => {
    const { store, graph, all } = await filled();
    const questions = Object.entries(lazyQuestions(graph, all));
    if (moves) await store.checkpoint();
    const begun = questions.map(([name, results]) => {
      const iterator = results[Symbol.iterator]();
      return { name, results, iterator, first: iterator.next().value };
    });
    await graph.purge({ recordedBefore: graph.recordedAtOf(all.lsns[2] as number) as number });
    if (moves) assert.ok(graph.memory.supersededInFiles > 0);
    const inTime = (value: unknown): string =>
      JSON.stringify(value, (key, held: unknown) =>
        /^recorded|^truncated|At$/.test(key) && held !== null ? "then" : held,
      );
    const given = begun.map(({ name, results, iterator, first: one }) => [
      name,
      inTime([one, ...iterator]),
      inTime([...results]),
      results.truncatedBefore !== null,
    ]);
    await store.close();
    return given;
  };
  assert.equal(await read(true), await read(false));
});

test("in an encrypted store the files are, and rekeying and forgetting heed them", async () => {
  const encryption = { key: keyOf(1), subjectKeys: join(temporaryDirectory(), "subjects") };
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory, { encryption });
  const graph = await store.graph(ALL);
  const all = await fill(graph);
  const { id } = await graph.createNode({
    label: "Person",
    properties: { name: "Secret Ann" },
    validFrom: 0,
    subject: "ann",
  });
  for (let round = 0; round < 9; round += 1) await graph.patchNode(id, { round }, { validFrom: 0, subject: "ann" });
  const before = await answers(graph, all);
  await store.checkpoint();
  const [file = ""] = filesIn(directory);
  assert.not.ok(readFileSync(join(folder(directory), file)).includes("former"));
  assert.is(await answers(graph, all), before);
  await store.close();
  const rekeyed = { key: keyOf(2), subjectKeys: encryption.subjectKeys };
  await rekeyStore(directory, { encryption: { ...rekeyed, otherKeys: [keyOf(1)] } });
  const again = await openStore(directory, { encryption: rekeyed });
  const opened = await again.graph(ALL);
  assert.ok(opened.memory.supersededInFiles > 0);
  assert.is(await answers(opened, all), before);
  const names = filesIn(directory);
  await again.forget("ann");
  for (const name of names) assert.not.ok(filesIn(directory).includes(name), "what has something of her is gone");
  assert.is(opened.memory.supersededInFiles, 0);
  assert.is(opened.history("node", id).count(), 0);
  await again.checkpoint();
  await again.close();
});

for (const days of [-1, Number.NaN, Number.POSITIVE_INFINITY, "1", null]) {
  test(`historyInMemoryDays ${String(days)} is refused`, async () => {
    await using store = await openStore(join(temporaryDirectory(), "store"));
    const given = { historyInMemoryDays: days } as never;
    assert.ok((await store.graph(given).catch((error: unknown) => error)) instanceof TypeError);
    await store.graph({ historyInMemoryDays: 3 });
    assert.ok((await store.graph(ALL).catch((error: unknown) => error)) instanceof TypeError);
    await store.graph();
  });
}

const problem = loopDiskProblem();
test(
  "on a full disk nothing is moved, the checkpoint says so, and it goes on when there is space",
  problem === null ? onFullDisk : async () => undefined,
);

async function onFullDisk(): Promise<void> {
  const { directory, store, all, before } = await filled();
  await store.close();
  const disk = new MemoryDisk(1);
  try {
    rmSync(join(directory, "projections"), { recursive: true });
    const { symlinkSync } = await import("node:fs");
    symlinkSync(disk.directory, join(directory, "projections"));
    const again = await openStore(directory);
    const graph = await again.graph(ALL);
    const ballast = join(disk.directory, "ballast");
    try {
      for (;;) appendFileSync(ballast, Buffer.alloc(4096, 1));
    } catch (error) {
      assert.is((error as NodeJS.ErrnoException).code, "ENOSPC");
    }
    await rejects(again.checkpoint(), "ERR_PROJECTION_CHECKPOINT");
    assert.is(graph.memory.supersededInFiles, 0);
    assert.is(await answers(graph, all), before);
    rmSync(ballast);
    assert.equal(readdirSync(folder(directory)), []);
    await again.checkpoint();
    assert.is(graph.memory.supersededInMemory, 0);
    assert.is(await answers(graph, all), before);
    await again.close();
  } finally {
    disk.remove();
  }
}
