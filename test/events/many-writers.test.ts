/** Threads and processes that append to the same streams of one store at once. */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { EventStore } from "../../src/events/index.js";
import { assert } from "../support/assert.js";
import { runChild } from "../support/child-process.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { type Hammering, hammer, type Try } from "./support/hammering.js";
import { collect, openEventReader, openEventStore } from "./support/open-event-store.js";

const test = suite("events/many-writers");
const PROCESS = new URL("./children/hammering-process.js", import.meta.url);
const THREAD = new URL("./children/hammering-thread.js", import.meta.url);
const STREAMS = ["s", "t", "u"];
const CONTESTED = Array.from({ length: 20 }, (_, index) => `contested-${index}`);
const TRIES = 200;
const DEADLINE_MS = 60_000;

type Writer = (task: Hammering) => Promise<Try[]>;

async function inProcess(task: Hammering): Promise<Try[]> {
  const { code, signal, stdout, stderr } = await runChild(PROCESS, {
    arguments: [JSON.stringify(task)],
    deadlineMs: DEADLINE_MS,
  });
  assert.equal([code, signal], [0, null], stderr);
  return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as Try[]; // behind the seed of its random numbers
}

async function inThread(task: Hammering): Promise<Try[]> {
  const worker = new Worker(THREAD, { workerData: task });
  const [tries] = (await once(worker, "message")) as [Try[]];
  await once(worker, "exit");
  return tries;
}

/** Lets them all append at once, in `store` too, and returns what became of every append. */
async function hammerAll(directory: string, store: EventStore, writers: readonly Writer[]): Promise<Try[]> {
  const task = (at: number): Hammering => ({
    directory,
    name: `writer-${at}`,
    streams: STREAMS,
    tries: TRIES,
    contested: CONTESTED,
  });
  const works = [hammer(store, task(0)), ...writers.map((writer, index) => writer(task(index + 1)))];
  return (await Promise.all(works)).flat();
}

interface Stored {
  readonly stream: string;
  readonly version: number;
  readonly data: unknown;
}

/** Holds what the store has against what the writers were told. */
function check(stored: readonly Stored[], tries: readonly Try[], writerCount: number): void {
  const versions = new Map<string, number>();
  const counts = new Map<unknown, number>();
  for (const { stream, version, data } of stored) {
    assert.is(version, (versions.get(stream) ?? 0) + 1, `${stream} has no gap and no version twice`);
    versions.set(stream, version);
    const place = `${stream} ${data}`;
    counts.set(place, (counts.get(place) ?? 0) + 1);
  }
  let toldCount = 0;
  let conflictCount = 0;
  for (const { stream, mark, eventCount, result } of tries) {
    if (result === null) {
      conflictCount++;
      assert.is(counts.get(`${stream} ${mark}`), undefined, `${mark} was refused and not written`);
      continue;
    }
    const { lsn, version, duplicate } = result;
    for (let back = 0; back < eventCount; back++) {
      const { stream: name, version: at, data } = stored[lsn - 1 - back] as Stored;
      assert.equal([name, at, data], [stream, version - back, mark]);
    }
    if (!duplicate) toldCount += eventCount;
  }
  assert.is(toldCount, stored.length, "every event in the store was answered for once");
  assert.ok(conflictCount > 0, "they have been in each other's way");
  for (const stream of CONTESTED) {
    const shares = tries.filter((share) => share.stream === stream);
    assert.is(shares.length, writerCount);
    assert.is(shares.filter(({ result }) => result?.duplicate === false).length, 1, "one writer has begun it");
    assert.is(new Set(shares.map(({ result }) => result?.lsn)).size, 1, "the others were told of the same event");
  }
}

async function checkStore(store: Pick<EventStore, "readAll" | "readStream" | "streamVersion">): Promise<Stored[]> {
  const all = (await collect(store.readAll())).map(({ stream, version, data }) => ({ stream, version, data }));
  for (const stream of [...STREAMS, ...CONTESTED]) {
    const own = all.filter((event) => event.stream === stream);
    const read = (await collect(store.readStream(stream))).map(({ version, data }) => ({ stream, version, data }));
    assert.equal(read, own, stream);
    assert.is(await store.streamVersion(stream), own.length);
  }
  return all;
}

for (const [kind, writers] of [
  ["processes", [inProcess, inProcess]],
  ["threads", [inThread, inThread]],
  ["threads and processes", [inThread, inProcess]],
] as const) {
  test(`${kind} share streams: versions have no gaps, conflicts write nothing, ids are found whoever wrote them`, async () => {
    const directory = temporaryDirectory();
    const store = await openEventStore({}, directory);
    await store.append("s", { type: "T", data: "first" });
    const first = { version: 1, lsn: 1, created: true, duplicate: false };
    const observer = await openEventStore({}, directory);
    const tries = await hammerAll(directory, store, writers);
    tries.push({ stream: "s", mark: "first", eventCount: 1, result: first });
    const all = await checkStore(observer);
    check(all, tries, writers.length + 1);
    assert.equal(await checkStore(store), all);
    await observer.close();
    await store.close();
    const reader = await openEventReader(directory);
    assert.equal(await checkStore(reader), all);
    await reader.close();
    const again = await openEventStore({}, directory);
    assert.equal(await checkStore(again), all);
    await again.close();
  });
}
