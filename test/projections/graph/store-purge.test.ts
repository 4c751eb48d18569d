import { cpSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { StoreError } from "../../../src/errors.js";
import { type Graph, openReader, openStore, type Store } from "../../../src/index.js";
import { readCheckpoint } from "../../../src/projections/checkpoint-file.js";
import { assert, rejects, sameBytes } from "../../support/assert.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

const test = suite("projections/graph/store-purge");

interface Version {
  readonly lsn: number;
  /** A recorded time at which it was in force. */
  readonly time: number;
}

interface Filled {
  readonly store: Store;
  readonly graph: Graph;
  readonly id: number;
  /** Of the node. */
  readonly versions: readonly [Version, Version, Version];
}

/** A node that was patched twice; the third version is in force. */
async function filled(directory: string): Promise<Filled> {
  const store = await openStore(directory);
  const graph = await store.graph();
  const { id, lsn } = await graph.createNode({ label: "Person", properties: { version: 1 }, validFrom: 0 });
  const version = (at: number): Version => ({ lsn: at, time: graph.asOf().recordedAt });
  const first = version(lsn);
  const second = version((await graph.patchNode(id, { version: 2 }, { validFrom: 0 })).lsn);
  const third = version((await graph.patchNode(id, { version: 3 }, { validFrom: 0 })).lsn);
  return { store, graph, id, versions: [first, second, third] };
}

/** What the graph answers as of each of the versions. */
function answers(graph: Graph, { id, versions }: Filled): unknown[] {
  return versions.map(({ lsn }) => {
    const view = graph.asOf({ recordedAt: { lsn } });
    return [view.node(id)?.properties["version"] ?? null, view.truncatedBefore];
  });
}

/** What the graph's only checkpoint holds. */
async function stateIn(directory: string): Promise<Buffer> {
  const folder = join(directory, "projections", "graph");
  const [name = "", ...others] = readdirSync(folder);
  assert.equal(others, []);
  const reading = await readCheckpoint(
    join(folder, name),
    async () => null,
    async (chunks) => {
      const all: Uint8Array[] = [];
      for await (const chunk of chunks) all.push(chunk);
      return Buffer.concat(all);
    },
  );
  if (reading.kind !== "usable") throw new Error(JSON.stringify(reading));
  return reading.state;
}

test("a purge is the same for other writers, readers and after reopening, from a checkpoint and without", async () => {
  const directory = join(temporaryDirectory(), "store");
  const all = await filled(directory);
  const { store, graph, id, versions } = all;
  await using other = await openStore(directory);
  const theirs = await other.graph();
  await using reader = await openReader(directory);
  const read = await reader.graph();
  const old = graph.asOf({ recordedAt: { lsn: versions[0].lsn } });
  const now = graph.asOf();
  assert.equal([old.truncatedBefore, graph.truncatedBefore], [null, null]);

  const horizon = versions[1].time;
  const result = await graph.purge({ recordedBefore: horizon });
  assert.equal(result, { lsn: graph.lsn, truncatedBefore: horizon, purgedVersions: 1 });
  const expected = [
    [null, horizon],
    [2, null],
    [3, null],
  ];
  assert.equal(answers(graph, all), expected);
  assert.equal([old.truncatedBefore, old.node(id)], [horizon, undefined], "it was made before, and says so");
  assert.equal([now.truncatedBefore, now.node(id)?.properties["version"]], [null, 3]);
  for (const same of [theirs, read]) {
    await same.whenApplied(result.lsn);
    assert.equal(answers(same, all), expected);
    assert.equal([same.truncatedBefore, same.purgedVersions], [horizon, 1]);
  }
  const history = graph.history("node", id);
  const kept = Array.from(history, ({ properties }) => properties["version"]);
  assert.equal([kept, history.truncatedBefore], [[2, 3], horizon]);
  await rejects(() => read.purge({ recordedBefore: horizon }), "ERR_STORE_READ_ONLY");

  await store.checkpoint();
  await other.close();
  await store.close();
  const fromLive = await stateIn(directory);
  {
    await using again = await openStore(directory);
    assert.equal(answers(await again.graph(), all), expected);
  }
  rmSync(join(directory, "projections"), { recursive: true });
  {
    await using again = await openStore(directory);
    assert.equal(answers(await again.graph(), all), expected);
    await again.checkpoint();
  }
  sameBytes(await stateIn(directory), fromLive);
});

test("what is refused is refused before anything is written", async () => {
  const { store, graph, versions } = await filled(join(temporaryDirectory(), "store"));
  const [, second, third] = versions;
  const events = await store.streamVersion("graph");
  const future = (Date.now() + 3_600_000) * 1000;
  const error = (await rejects(graph.purge({ recordedBefore: future }), "ERR_GRAPH_HORIZON")) as StoreError;
  assert.equal([error.details["kind"], error.details["lsn"]], ["graph", null]);
  for (const wrong of [{}, { recordedBefore: "1" }, { recordedBefore: third.time, more: 1 }, null, 5])
    await rejects(graph.purge(wrong as never), (problem) => problem instanceof TypeError);
  await rejects(graph.purge({ recordedBefore: 0.5 }), "ERR_GRAPH_INVALID_PERIOD");
  assert.is(await store.streamVersion("graph"), events);
  await graph.purge({ recordedBefore: third.time });
  await rejects(graph.purge({ recordedBefore: second.time }), "ERR_GRAPH_HORIZON");
  assert.is((await graph.purge({ recordedBefore: third.time })).purgedVersions, 2, "the same again is none");
  assert.is(await store.streamVersion("graph"), events + 2);
  await store.close();
  await rejects(graph.purge({ recordedBefore: third.time }), (problem) => /CLOSED/.test((problem as StoreError).code));
});

test("of two purges at once the one whose horizon goes back fails, although both were well when they were given", async () => {
  const { store, graph, versions } = await filled(join(temporaryDirectory(), "store"));
  const [, second, third] = versions;
  const outcomes = await Promise.allSettled([
    graph.purge({ recordedBefore: third.time }),
    graph.purge({ recordedBefore: second.time }),
  ]);
  assert.equal(
    outcomes.map(({ status }) => status),
    ["fulfilled", "rejected"],
  );
  const { code, details } = (outcomes[1] as PromiseRejectedResult).reason as StoreError;
  assert.equal([code, details["kind"], details["lsn"]], ["ERR_GRAPH_HORIZON", "graph", graph.lsn]);
  assert.equal([graph.truncatedBefore, graph.purgedVersions, graph.rejectedCount], [third.time, 2, 1]);
  await store.close();
});

test("a purge that came after the graph's checkpoint is replayed, and is not there where the log ends before it", async () => {
  const directory = join(temporaryDirectory(), "store");
  const all = await filled(directory);
  const { store, versions } = all;
  await store.checkpoint();
  await store.close();
  const before = join(temporaryDirectory(), "before");
  cpSync(directory, before, { recursive: true });
  const again = await openStore(directory);
  await (await again.graph()).purge({ recordedBefore: versions[1].time });
  await again.close();
  rmSync(join(directory, "projections"), { recursive: true });
  cpSync(join(before, "projections"), join(directory, "projections"), { recursive: true });
  for (const [place, purged] of [
    [before, 0],
    [directory, 1],
  ] as const) {
    await using opened = await openStore(place);
    const graph = await opened.graph();
    assert.is(graph.purgedVersions, purged);
    assert.is(graph.asOf({ recordedAt: { lsn: versions[0].lsn } }).truncatedBefore !== null, purged === 1);
    assert.equal(graph.asOf({ recordedAt: { lsn: versions[1].lsn } }).truncatedBefore, null);
    assert.is(graph.asOf().node(all.id)?.properties["version"], 3);
  }
});
