/** In which order waiting appends are tried, and what they hold up. */

import { AppendQueue, type Retry } from "../../src/events/append-queue.js";
import { StreamHead } from "../../src/events/stream-index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("events/append-queue");
const WAITING_MAX = 65_536;

interface Waiting {
  readonly name: string;
  readonly heads: readonly StreamHead[];
  readonly reject: (error: Error) => void;
  /** What its next tries come to. */
  readonly retries: Retry[];
}

const s = (): StreamHead => new StreamHead("s");

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

/** A queue that notes who was tried and who was rejected. */
function makeQueue() {
  const log: string[] = [];
  const rooms: (() => void)[] = [];
  const queue = new AppendQueue<Waiting>(
    (append) => {
      log.push(append.name);
      return append.retries.shift() ?? null;
    },
    () => new Promise((resolve) => rooms.push(resolve)),
  );
  const waiting = (name: string, heads: readonly StreamHead[], ...retries: Retry[]): Waiting => ({
    name,
    heads,
    reject: (error) => log.push(`${name}: ${error.message}`),
    retries,
  });
  const giveRoom = async (): Promise<void> => {
    for (const resolve of rooms.splice(0)) resolve();
    await turn();
  };
  return { queue, log, waiting, giveRoom };
}

function makeGate(): {
  readonly opened: Promise<void>;
  readonly open: () => void;
  readonly fail: (error: Error) => void;
} {
  let open = (): void => {};
  let fail = (_error: Error): void => {};
  const opened = new Promise<void>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { opened, open, fail };
}

test("what waits for a buffer holds up all that come later, in order", async () => {
  const { queue, log, waiting, giveRoom } = makeQueue();
  const heads = [s(), s()] as const;
  queue.add(waiting("1", [heads[0]], "room"), "room");
  assert.ok(queue.awaitsRoom && queue.holds([heads[1]]));
  queue.add(waiting("2", [heads[1]]), null);
  queue.add(waiting("3", [heads[0]]), null);
  await giveRoom();
  assert.equal(log, ["1"], "there was none for the first, so none for the others");
  await giveRoom();
  assert.equal(log, ["1", "1", "2", "3"]);
  assert.not(queue.awaitsRoom || queue.holds(heads));
});

test("what waits for a stream holds up appends to it and to what these wait for, and no others", async () => {
  const { queue, log, waiting } = makeQueue();
  const [x, y, z] = [s(), s(), s()];
  const gates = [makeGate(), makeGate()] as const;
  queue.add(waiting("x", [x]), gates[0].opened);
  queue.add(waiting("xy", [x, y]), null);
  queue.add(waiting("y", [y]), null);
  queue.add(waiting("z", [z]), gates[1].opened);
  assert.equal(
    [x, y, z, s()].map((head) => queue.holds([head])),
    [true, true, true, false],
  );
  gates[1].open();
  await turn();
  assert.equal(log, ["z"]);
  gates[0].open();
  await turn();
  assert.equal(log, ["z", "x", "xy", "y"]);
  assert.not(queue.holds([x, y, z]));
});

test("an append that waits for what never comes is rejected with the reason, and those behind it are tried", async () => {
  const { queue, log, waiting } = makeQueue();
  const head = s();
  const gate = makeGate();
  queue.add(waiting("1", [head]), gate.opened);
  queue.add(waiting("2", [head]), null);
  gate.fail(new Error("busy"));
  await turn();
  assert.equal(log, ["1: busy", "2"]);
});

test("one that can be tried again at once, again and again, lets the event loop turn", async () => {
  const { queue, log, waiting } = makeQueue();
  queue.add(waiting("1", [s()], ...Array.from({ length: 1000 }, () => Promise.resolve())), Promise.resolve());
  await turn();
  assert.ok(log.length < 10, `${log.length} tries`);
});

test("one append more than may wait is refused", async () => {
  const { queue, waiting } = makeQueue();
  const head = s();
  for (let count = 0; count < WAITING_MAX; count++) queue.add(waiting("", [head]), count === 0 ? "room" : null);
  await rejects(() => queue.add(waiting("", [head]), null), "ERR_WAL_BUFFER_FULL");
  assert.is(head.waitingCount, WAITING_MAX);
});
