/** One document anew: the result is that of a whole rebuild, and the others stay as they were. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { openStore, type ProjectionReport, rebuildDocument, type Store, singleStream } from "../../src/index.js";
import { startProjection } from "../../src/projections/index.js";
import { runFailing, runJson } from "../cli/support/run-cli.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { type Counted, counters, MODULE_PATH, owners } from "./children/counters.js";
import { MemoryFeed } from "./memory-feed.js";

const test = suite("projections/document-rebuild");
const onReport = (): void => undefined;

async function countersStore(rounds = 30): Promise<Store<Counted>> {
  const store = await openStore<Counted>(join(temporaryDirectory(), "store"));
  for (let round = 1; round <= rounds; round += 1) {
    await store.appendMany(
      ["counter-a", "counter-b", "other"].map((stream) => ({
        stream,
        events: { type: "Counted", data: { by: round, owners: round % 2 === 0 ? ["ann", "bob"] : ["ann"] } },
      })),
    );
  }
  return store;
}

const SUM = (30 * 31) / 2;

test("the document of a stream is folded anew, and nothing else is", async () => {
  const store = await countersStore();
  const running = await store.project(counters, { onReport });
  await running.whenCaughtUp();
  for (const name of ["counter-a", "counter-b"]) (running.state.get(name) as { sum: number }).sum += 7;
  const lsn = await running.rebuildDocument("counter-a");
  assert.is(lsn, store.watermark);
  assert.is(running.state.get("counter-a")?.sum, SUM);
  assert.is(running.state.get("counter-b")?.sum, SUM + 7);
  await running.close();
  // It is on disk too.
  const again = await store.project(counters, { onReport });
  assert.equal([again.state.get("counter-a")?.sum, again.state.get("counter-b")?.sum], [SUM, SUM + 7]);
  await store.close();
});

test("the document of a key is folded from the events of all streams, each for that key alone", async () => {
  const store = await countersStore();
  const running = await store.project(owners, { onReport });
  await running.whenCaughtUp();
  const [ann, bob] = [running.state.get("ann")?.sum, running.state.get("bob")?.sum];
  for (const name of ["ann", "bob"]) (running.state.get(name) as { sum: number }).sum += 7;
  await running.rebuildDocument("bob");
  assert.equal([running.state.get("ann")?.sum, running.state.get("bob")?.sum], [(ann ?? 0) + 7, bob]);
  // Nothing was ever said of that one: a document that came from nowhere goes.
  (running.state as Map<string, { sum: number }>).set("carl", { sum: 1 });
  await running.rebuildDocument("carl");
  assert.not.ok(running.state.has("carl"));
  await store.close();
});

test("appends that go on meanwhile are in it once", async () => {
  const store = await countersStore();
  const running = await store.project(owners, { onReport });
  await running.whenCaughtUp();
  let isDone = false;
  let appended = 0;
  const appending = (async () => {
    for (; !isDone; appended += 1) {
      await store.append("counter-a", { type: "Counted", data: { by: 1, owners: ["bob"] } });
    }
  })();
  const before = running.state.get("bob")?.sum ?? 0;
  while (appended < 20) await delay(1);
  for (let count = 0; count < 5; count += 1)
    await Promise.all([running.rebuildDocument("bob"), running.rebuildDocument("ann")]);
  isDone = true;
  await appending;
  await running.whenCaughtUp();
  assert.is(running.state.get("bob")?.sum, before + appended);
  await store.close();
});

test("a stream of which events are truncated comes to the same as a whole rebuild, before a scavenge and behind it", async () => {
  const store = await countersStore();
  const running = await store.project(counters, { onReport });
  await store.truncateStream("counter-a", { before: 11 });
  await running.rebuildDocument("counter-a");
  assert.is(running.state.get("counter-a")?.sum, SUM);
  await store.scavenge();
  await running.rebuildDocument("counter-a");
  const partial = running.state.get("counter-a")?.sum;
  await running.rebuild();
  assert.is(running.state.get("counter-a")?.sum, partial);
  assert.is(partial, SUM - (10 * 11) / 2);
  await store.tombstoneStream("counter-b");
  await running.rebuildDocument("counter-b");
  assert.is(running.state.get("counter-b")?.sum, SUM);
  await store.close();
});

test("parked events stay out of it, and one that is refused elsewhere leaves the document as it was", async () => {
  const store = await openStore<Counted>(join(temporaryDirectory(), "store"));
  let refused = 5;
  const picky = singleStream<Counted, { sum: number }>({
    name: "picky",
    version: 1,
    streams: "counter-",
    initial: () => ({ sum: 0 }),
    on: {
      Counted: ({ sum }, { data }) => {
        if (data.by === refused) throw new Error("not that one");
        return { sum: sum + data.by };
      },
    },
  });
  for (let by = 1; by <= 6; by += 1) await store.append("counter-a", { type: "Counted", data: { by, owners: [] } });
  const running = await store.project(picky, { onError: "park", onReport });
  await running.whenCaughtUp();
  assert.equal([running.state.get("counter-a")?.sum, running.parked.length], [16, 1]);
  refused = 0;
  await running.rebuildDocument("counter-a");
  assert.equal([running.state.get("counter-a")?.sum, running.parked.length], [16, 1]);
  await running.retry();
  assert.is(running.state.get("counter-a")?.sum, 21);
  refused = 2;
  await rejects(running.rebuildDocument("counter-a"), "ERR_PROJECTION_FAILED");
  assert.equal([running.state.get("counter-a")?.sum, running.status], [21, "live"]);
  await running.close();
  const reports: ProjectionReport[] = [];
  const skipping = await store.project(picky, { onError: "skip", onReport: (report) => reports.push(report) });
  await skipping.rebuildDocument("counter-a");
  assert.is(skipping.state.get("counter-a")?.sum, 19);
  assert.equal(
    reports.map(({ kind }) => kind),
    ["event-skipped"],
  );
  assert.is(skipping.skippedEvents, 0);
  await store.close();
});

test("what is wrong is refused, an abort and a closing end it, and nothing is changed", async () => {
  const store = await countersStore();
  const running = await store.project(counters, { onReport });
  await running.whenCaughtUp();
  for (const call of [
    () => running.rebuildDocument(7 as never),
    () => running.rebuildDocument("other"),
    () => running.rebuildDocument("counter-a", { fresh: true } as never),
    () => running.rebuildDocument("counter-a", { signal: 1 } as never),
  ]) {
    await call().then(
      () => assert.unreachable(),
      (error: unknown) => assert.ok(error instanceof TypeError, String(error)),
    );
  }
  await startProjection(new MemoryFeed(temporaryDirectory()), { ...counters, documents: {} } as never).then(
    () => assert.unreachable(),
    (error: unknown) => assert.match(String(error), "projection.documents.streamOf must be a function"),
  );
  const signal = AbortSignal.abort(new Error("enough"));
  await rejects(running.rebuildDocument("counter-a", { signal }), ({ message }) => message === "enough");
  const closing = rejects(running.rebuildDocument("counter-a"), "ERR_PROJECTION_CLOSED");
  await running.close();
  await closing;
  await rejects(running.rebuildDocument("counter-a"), "ERR_PROJECTION_CLOSED");
  await store.close();
  const read = await startProjection(new MemoryFeed(temporaryDirectory(), { readOnly: true }), counters as never);
  await rejects(read.rebuildDocument("counter-a"), "ERR_STORE_READ_ONLY");
  await read.close();
});

test("from outside: who runs it goes over to the state with that document, and who will begins with it", async () => {
  const store = await countersStore();
  await rejects(rebuildDocument(store.directory, counters, "counter-a"), "ERR_PROJECTION_NOT_FOUND");
  const reports: ProjectionReport[] = [];
  const running = await store.project(counters, { onReport: (report) => reports.push(report) });
  await running.whenCaughtUp();
  for (const name of ["counter-a", "counter-b"]) (running.state.get(name) as { sum: number }).sum += 7;
  await store.append("counter-b", { type: "Counted", data: { by: 1, owners: [] } });
  await running.whenCaughtUp();
  await running.checkpoint();
  await store.append("counter-a", { type: "Counted", data: { by: 1, owners: [] } });
  const at = ["--module", MODULE_PATH, "--name", "counters", "--store", store.directory];
  const [done] = await runJson(["projection", "rebuild", ...at, "--stream", "counter-a"]);
  assert.equal([done?.["document"], done?.["lsn"]], ["counter-a", 91]);
  while (!reports.some(({ kind }) => kind === "rebuilt")) await delay(10);
  await running.whenCaughtUp();
  assert.equal([running.state.get("counter-a")?.sum, running.state.get("counter-b")?.sum], [SUM + 1, SUM + 8]);
  await running.close();
  await rebuildDocument(store.directory, counters, "counter-b");
  // A second one goes on from what the first has left.
  await rebuildDocument(store.directory, counters, "counter-a");
  const again = await store.project(counters, { onReport });
  while (again.state.get("counter-b")?.sum !== SUM + 1) await delay(10);
  assert.is(again.state.get("counter-a")?.sum, SUM + 1);
  await store.close();
  for (const wrong of [
    ["--stream", "other"],
    ["--stream", "counter-a", "--key", "x"],
    ["--key", "counter-a", "--fresh"],
  ]) {
    assert.is((await runFailing(["projection", "rebuild", ...at, ...wrong])).code, "ERR_USAGE");
  }
});

test("a document beside a whole rebuild: it is anew at once, and again when the rebuild takes over", async () => {
  const store = await countersStore(600);
  const running = await store.project(counters, { onReport });
  await running.whenCaughtUp();
  const sum = running.state.get("counter-a")?.sum ?? 0;
  for (const name of ["counter-a", "counter-b"]) (running.state.get(name) as { sum: number }).sum += 7;
  const rebuilding = running.rebuild({ maxEventsPerSecond: 500 });
  await running.rebuildDocument("counter-a");
  assert.equal([running.state.get("counter-a")?.sum, running.state.get("counter-b")?.sum], [sum, sum + 7]);
  await rebuilding;
  assert.equal([running.state.get("counter-a")?.sum, running.state.get("counter-b")?.sum], [sum, sum]);
  await store.close();
});

test("a saved state that is damaged is not used", async () => {
  const store = await countersStore();
  const running = await store.project(counters, { onReport });
  await running.whenCaughtUp();
  await running.close();
  writeFileSync(join(store.directory, "projections", "counters", "v1.checkpoint"), "damaged");
  await rejects(rebuildDocument(store.directory, counters, "counter-a"), "ERR_PROJECTION_NOT_FOUND");
  await store.close();
});
