/** Subscriptions: caught up, then live, without a gap or a duplicate, and ended in every way. */

import { spawn } from "node:child_process";
import { once, setMaxListeners } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { EventStore } from "../../src/events/index.js";
import { assert, rejects } from "../support/assert.js";
import { type SeededRandom, seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { openEventStore } from "./support/open-event-store.js";

const test = suite("events/subscription");
const LISTENERS_MAX = 10;

let store: EventStore;
test.beforeEach(async () => {
  store = await openEventStore({ segmentBytes: 64 * 1024 });
});
test.afterEach(() => store.close());

function append(stream: string, count = 1, padding = 0): Promise<unknown> {
  return store.append(
    stream,
    Array.from({ length: count }, () => ({ type: "T", data: "x".repeat(padding) })),
  );
}

async function appendAtRandom(random: SeededRandom, totalCount: number): Promise<void> {
  const pending: Promise<unknown>[] = [];
  for (let count = 0; count < totalCount; ) {
    const size = Math.min(1 + random.integer(20), totalCount - count);
    count += size;
    pending.push(append(random.pick(["a", "b", "c"]), size, random.integer(200)));
    const wait = random.integer(4);
    if (wait === 0) await delay(random.integer(4));
    else if (wait === 1) await Promise.all(pending);
    else if (wait === 2) await new Promise(setImmediate);
  }
  await Promise.all(pending);
}

test("catches up and goes on live, without a gap or a duplicate, for each of several subscribers", async () => {
  const random = seededRandom();
  const total = 3000;
  await appendAtRandom(random, 500);
  const seen: { after: number; stream: string | undefined; lsns: number[]; versions: number[] }[] = [];
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  const follow = async (after: number, stream: string | undefined, isSlow: boolean): Promise<void> => {
    const own = { after, stream, lsns: [] as number[], versions: [] as number[] };
    seen.push(own);
    const options = { after, signal: controller.signal, ...(stream === undefined ? {} : { stream }) };
    for await (const event of store.subscribe(options)) {
      own.lsns.push(event.lsn);
      own.versions.push(event.version);
      if (stream !== undefined) assert.is(event.stream, stream);
      if (isSlow && event.lsn % 50 === 0) await delay(1);
    }
  };
  const followers: Promise<void>[] = [];
  const start = (after: number, stream?: string, isSlow = false): void => {
    followers.push(follow(after, stream, isSlow));
  };
  start(0);
  start(0, "a");
  start(250, undefined, true);
  start(0, "b", true);
  const appending = appendAtRandom(random, total - 500);
  for (let index = 0; index < 6; index++) {
    await delay(random.integer(10));
    start(random.integer(store.watermark + 1), random.pick([undefined, "a", "c"]), random.integer(2) === 0);
  }
  start(total + 5);
  await appending;
  const written: { stream: string; lsn: number; version: number }[] = [];
  for await (const { stream, lsn, version } of store.readAll()) written.push({ stream, lsn, version });
  assert.is(written.length, total);
  const expected = seen.map(({ after, stream }) =>
    written.filter((event) => event.lsn > after && (stream === undefined || event.stream === stream)),
  );
  const isDone = (): boolean => seen.every(({ lsns }, index) => lsns.length >= (expected[index]?.length ?? 0));
  for (let waitedMs = 0; !isDone() && waitedMs < 10_000; waitedMs += 10) await delay(10);
  await delay(20);
  controller.abort(new Error("done"));
  for (const follower of followers) await rejects(follower, (error) => error.message === "done");
  for (const [index, { lsns, versions }] of seen.entries()) {
    assert.equal(
      lsns,
      expected[index]?.map(({ lsn }) => lsn),
      `subscriber ${index}`,
    );
    assert.equal(
      versions,
      expected[index]?.map(({ version }) => version),
      `subscriber ${index}`,
    );
  }
});

test("a stream that does not exist yet can be followed", async () => {
  const cursor = store.subscribe({ stream: "later" });
  const first = cursor.next();
  await append("other", 3);
  await append("later", 2);
  assert.is((await first).value?.lsn, 4);
  assert.is((await cursor.next()).value?.lsn, 5);
  await cursor.return();
});

test("events are delivered when they are durable, not before", async () => {
  const slow = await openEventStore({ durability: "async", flushIntervalMs: 60_000 });
  const cursor = slow.subscribe();
  let isDelivered = false;
  const first = cursor.next().then((result) => {
    isDelivered = true;
    return result;
  });
  await slow.append("s", { type: "T", data: 1 });
  await delay(30);
  assert.is(isDelivered, false);
  await slow.flush();
  assert.is((await first).value?.lsn, 1);
  await cursor.return();
  await slow.close();
});

test("a slow consumer keeps nothing in memory but what it is being given", async () => {
  const own = await openEventStore({ segmentBytes: 4 * 1024 * 1024 });
  const cursor = own.subscribe();
  const data = "x".repeat(64 * 1024);
  await own.append("s", { type: "T", data });
  assert.is((await cursor.next()).value?.lsn, 1);
  const waiting = cursor.next();
  const usedBefore = memoryUsed();
  for (let round = 0; round < 400; round++)
    await own.append("s", [
      { type: "T", data },
      { type: "T", data },
    ]);
  const grown = memoryUsed() - usedBefore;
  assert.ok(grown < 25 * 2 ** 20, `${grown} bytes more after 50 MiB were written`);
  assert.is((await waiting).value?.lsn, 2);
  for (let lsn = 3; lsn <= 801; lsn++) assert.is((await cursor.next()).value?.lsn, lsn);
  await cursor.return();
  await own.close();
});

/** What is held on the heap and beside it. The pool's buffers are mapped by ourselves and do not count. */
function memoryUsed(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test("an abort ends it with the reason: before it begins, while it waits, and between two events of a batch", async () => {
  const reason = new Error("enough");
  await append("s", 10);
  await rejects(store.subscribe({ signal: AbortSignal.abort(reason) }).next(), (error) => error === reason);

  const waiting = new AbortController();
  const cursor = store.subscribe({ after: 10, signal: waiting.signal });
  const next = cursor.next();
  setTimeout(() => waiting.abort(reason), 5);
  await rejects(next, (error) => error === reason);
  assert.equal(await cursor.next(), { done: true, value: undefined });

  const delivering = new AbortController();
  let count = 0;
  const following = (async () => {
    for await (const _ of store.subscribe({ signal: delivering.signal })) if (++count === 3) delivering.abort(reason);
  })();
  await rejects(following, (error) => error === reason);
  assert.is(count, 3);
});

test("a signal that lives long collects no listeners, and the log none either", async () => {
  const warnings: string[] = [];
  const note = (warning: Error): number => warnings.push(warning.message);
  process.on("warning", note);
  const { signal } = new AbortController();
  let listenerCount = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listenerCount++;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listenerCount--;
    remove(...args);
  };
  const cursor = store.subscribe({ signal });
  for (let round = 0; round < 5 * LISTENERS_MAX; round++) {
    const next = cursor.next();
    await append("s");
    assert.is((await next).value?.lsn, round + 1);
    assert.is(listenerCount, 0);
  }
  const waiting = cursor.next();
  await delay(1);
  assert.is(listenerCount, 1);
  await cursor.return();
  assert.is((await waiting).done, true);
  assert.is(listenerCount, 0);
  process.off("warning", note);
  assert.equal(warnings, []);
});

test("it ends when the store closes, caught up or not, waiting or not yet begun", async () => {
  await append("s", 300);
  await append("s", 300);
  const caughtUp = store.subscribe({ after: 600 });
  const waiting = caughtUp.next();
  const behind = store.subscribe();
  assert.is((await behind.next()).value?.lsn, 1);
  const notBegun = store.subscribe();
  const inStream = store.subscribe({ stream: "s" });
  await inStream.next();
  await store.close();
  assert.equal(await waiting, { done: true, value: undefined });
  for (const cursor of [caughtUp, notBegun]) assert.is((await cursor.next()).done, true);
  for (const cursor of [behind, inStream]) {
    let lsn = 1;
    for await (const event of cursor) assert.is(event.lsn, ++lsn);
    assert.ok(lsn < 600, "the rest was not read any more");
  }
  await rejects(() => store.subscribe(), "ERR_STORE_CLOSED");
});

test("break and return end it at once, also while another call of next waits", async () => {
  await append("s", 2);
  for await (const event of store.subscribe()) if (event.lsn === 2) break;
  const cursor = store.subscribe({ after: 2 });
  const waiting = [cursor.next(), cursor.next(), cursor.next()];
  assert.equal(await cursor.return(), { done: true, value: undefined });
  for (const result of await Promise.all(waiting)) assert.is(result.done, true);
  await append("s");
  assert.is((await cursor.next()).done, true);
});

test("calls of next that were not awaited get one event each, in order", async () => {
  const cursor = store.subscribe();
  const calls = Array.from({ length: 50 }, () => cursor.next());
  await append("s", 20);
  await append("s", 20);
  await append("s", 20);
  const lsns = (await Promise.all(calls)).map((result) => result.value?.lsn);
  assert.equal(
    lsns,
    [...new Array(50).keys()].map((index) => index + 1),
  );
  await cursor.return();
});

test("a listener that throws is an uncaught exception, and neither the store nor other listeners suffer", async () => {
  const told: number[] = [];
  const caught = new Promise<Error>((resolve) => {
    const listeners = process.rawListeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.once("uncaughtException", (error) => {
      for (const listener of listeners) process.on("uncaughtException", listener as () => void);
      resolve(error);
    });
  });
  const unsubscribe = store.onAdvance(() => {
    unsubscribe();
    throw new Error("of a listener");
  });
  store.onAdvance((watermark) => told.push(watermark));
  await append("s");
  await append("s");
  assert.is((await caught).message, "of a listener");
  await delay(1);
  assert.equal(told, [1, 2]);
});

test("a waiting subscription keeps its process alive, and an ended one lets it go", async () => {
  const child = fileURLToPath(new URL("./support/subscriber.child.js", import.meta.url));
  for (const mode of ["wait", "end"]) {
    const running = spawn(process.execPath, [child, temporaryDirectory(), mode], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(running, "exit");
    await once(running.stdout, "data");
    const outcome = await Promise.race([
      exited.then(() => "ended"),
      delay(mode === "wait" ? 500 : 10_000, undefined, { ref: false }).then(() => "alive"),
    ]);
    assert.is(outcome, mode === "wait" ? "alive" : "ended", mode);
    running.kill("SIGKILL");
    await exited;
  }
});
