/** What a failing disk does to appends: who is told what, and that the streams are then where the log is. */

import { constants } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import type { AppendOptions, AppendResult, BufferedResult, EventInput } from "../../src/events/index.js";
import { assert, rejects } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { type ControlledLog, openControlledLog } from "./support/controlled-log.js";

const test = suite("events/append-failure");
const { EIO, ENOSPC } = constants.errno;
const SMALL_SEGMENT_BYTES = 64 * 1024;
const STREAMS = ["a", "b", "c"] as const;

let log: ControlledLog;
test.afterEach(() => log.close());

function append(
  stream: string,
  events: EventInput | readonly EventInput[],
  options?: AppendOptions,
): Promise<AppendResult> {
  return log.appender.append(stream, events, options, true) as Promise<AppendResult>;
}

function event(id?: string, padding = 0): EventInput {
  return { type: "T", data: "x".repeat(padding), ...(id === undefined ? {} : { id }) };
}

/** The error's code, or "stored". */
function outcomeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "stored",
    (error: { code?: string }) => error.code ?? String(error),
  );
}

async function turn(): Promise<void> {
  await new Promise(setImmediate);
}

async function versionsOf(stream: string): Promise<readonly [number, number]> {
  const head = log.index.get(stream);
  return [head?.claimedVersion ?? 0, (await log.appender.visibleVersion(stream)) ?? 0];
}

test("when a write fails, what was in flight is of unknown outcome, and what had not been written fails, the open batch too", async () => {
  log = await openControlledLog(1024 * 1024);
  await append("a", [event(), event()]);
  log.disk.isHeld = true;
  const inFlight = [outcomeOf(append("a", event("in-flight"), { durability: "sync" }))];
  inFlight.push(outcomeOf(append("b", event(), { durability: "sync" })));
  inFlight.push(outcomeOf(append("a", event(), { durability: "sync" })));
  const open = [append("a", event("open")), append("b", [event(), event()]), append("c", event())].map(outcomeOf);
  assert.equal(await Promise.all(STREAMS.map(versionsOf)), [
    [5, 2],
    [3, 0],
    [1, 0],
  ]);
  await turn();
  log.disk.writeErrno = -EIO;
  log.disk.isHeld = false;
  log.disk.release();
  assert.equal(await Promise.all(inFlight), new Array(3).fill("ERR_WAL_OUTCOME_UNKNOWN"));
  assert.equal(await Promise.all(open), new Array(3).fill("ERR_WAL_FAILED"));
  // What was in flight may be in the log, so nobody may use its versions again.
  assert.equal(await Promise.all(STREAMS.map(versionsOf)), [
    [4, 2],
    [1, 0],
    [0, 0],
  ]);
  await rejects(append("a", event()), "ERR_WAL_FAILED");
  await rejects(log.appender.appendMany([{ stream: "a", events: event() }], undefined), "ERR_WAL_FAILED");
});

test("appends that wait when the log fails are told so, all of them", async () => {
  log = await openControlledLog(4 * 1024 * 1024);
  log.disk.isHeld = true;
  const outcomes = Array.from({ length: 30 }, (_, index) =>
    outcomeOf(append(`s${index}`, event(`id-${index}`, 700_000))),
  );
  await turn();
  log.disk.writeErrno = -EIO;
  log.disk.isHeld = false;
  log.disk.release();
  const answers = await Promise.all(outcomes);
  assert.ok(answers.includes("ERR_WAL_OUTCOME_UNKNOWN"));
  assert.ok(answers.includes("ERR_WAL_FAILED"));
  assert.ok(
    answers.every((answer) => answer !== "stored"),
    answers.join(" "),
  );
  for (const [index, answer] of answers.entries()) {
    assert.equal(await versionsOf(`s${index}`), [answer === "ERR_WAL_OUTCOME_UNKNOWN" ? 1 : 0, 0]);
  }
});

test("without space for another segment appends are refused, those in flight are stored, and it goes on when there is space", async () => {
  log = await openControlledLog(SMALL_SEGMENT_BYTES);
  log.disk.allocateErrno = -ENOSPC;
  let storedCount = 0;
  while ((await outcomeOf(append("a", event(`id-${storedCount}`, 3000)))) === "stored") storedCount++;
  assert.ok(storedCount > 5, `${storedCount} events lie in the first segment`);
  assert.equal(await versionsOf("a"), [storedCount, storedCount]);
  await rejects(append("a", event("refused", 3000), { expectedVersion: storedCount }), "ERR_WAL_FULL");
  await rejects(append("new", event(undefined, 3000), { expectedVersion: "absent" }), "ERR_WAL_FULL");
  log.disk.allocateErrno = null;
  const again = await append("a", event("refused", 3000), { expectedVersion: storedCount });
  assert.equal(
    again,
    { version: storedCount + 1, lsn: storedCount + 1, created: false, duplicate: false },
    "no LSN was lost",
  );
  assert.is((await append("new", event(), { expectedVersion: "absent" })).created, true);
  assert.is((await append("a", event("refused", 3000))).duplicate, true);
});

test("a batch that is refused takes back what was built upon it, and leaves what lies before it", async () => {
  log = await openControlledLog(SMALL_SEGMENT_BYTES);
  log.disk.allocateErrno = -ENOSPC;
  log.disk.isHeld = true;
  const stored = outcomeOf(append("a", [event("1", 15_000), event("2", 15_000)], { durability: "sync" }));
  const refused = [
    append("a", [event("3", 31_000)], { durability: "sync", expectedVersion: 2 }),
    append("b", event(), { durability: "sync" }),
    append("a", event("4"), { expectedVersion: 3 }),
    log.appender.appendMany(
      [
        { stream: "b", events: [event(), event()] },
        { stream: "a", events: event("5") },
      ],
      undefined,
    ),
  ].map(outcomeOf);
  assert.equal(await Promise.all(STREAMS.map(versionsOf)), [
    [5, 0],
    [3, 0],
    [0, 0],
  ]);
  assert.equal(await Promise.all(refused), new Array(4).fill("ERR_WAL_FULL"));
  assert.equal(await Promise.all(STREAMS.map(versionsOf)), [
    [2, 0],
    [0, 0],
    [0, 0],
  ]);
  log.disk.isHeld = false;
  log.disk.release();
  assert.is(await stored, "stored");
  log.disk.allocateErrno = null;
  const result = await append("a", [event("3", 31_000), event("4")], { expectedVersion: 2 });
  assert.equal(result, { version: 4, lsn: 4, created: false, duplicate: false });
  assert.is((await append("b", event())).created, true);
});

test("an async append whose batch is refused is known as lost, also after later ones are durable", async () => {
  log = await openControlledLog(SMALL_SEGMENT_BYTES, "async");
  log.disk.allocateErrno = -ENOSPC;
  const kept = (await append("a", event(undefined, 31_000))) as unknown as BufferedResult;
  await log.writer.drain();
  const lost = (await append("a", event(undefined, 31_000))) as unknown as BufferedResult;
  await log.writer.drain();
  log.disk.allocateErrno = null;
  const later = (await append("a", event(undefined, 31_000))) as unknown as BufferedResult;
  await log.writer.drain();
  assert.equal([kept.version, lost.version, later.version], [1, 2, 2]);
  assert.ok(log.writer.durableEpoch >= later.epoch && later.epoch > lost.epoch);
  const { lostBatches } = log.appender;
  assert.equal(
    [kept, lost, later].map(({ epoch }) => lostBatches.errorOf(epoch)?.code ?? null),
    [null, "ERR_WAL_FULL", null],
  );
  assert.is(lostBatches.count, 1);
});

test("a repetition of an append that fails is made as a new one", async () => {
  log = await openControlledLog(SMALL_SEGMENT_BYTES);
  log.disk.allocateErrno = -ENOSPC;
  await append("a", event("0", 31_000));
  const first = outcomeOf(append("a", event("1", 31_000)));
  const repetition = append("a", event("1", 31_000));
  void first.then(() => {
    log.disk.allocateErrno = null;
  });
  const outcome = await outcomeOf(repetition);
  assert.is(await first, "ERR_WAL_FULL");
  assert.ok(outcome === "stored" || outcome === "ERR_WAL_FULL", outcome);
  const [version, durable] = await versionsOf("a");
  assert.equal([version, durable], outcome === "stored" ? [2, 2] : [1, 1]);
  assert.is((await append("a", event("1", 31_000))).duplicate, outcome === "stored");
});

test("whatever fails and in whatever order, the streams are what their successful appends made them", async () => {
  const random = seededRandom();
  let refusedCount = 0;
  for (let round = 0; round < 8; round++) {
    log = await openControlledLog(SMALL_SEGMENT_BYTES);
    const results: { stream: string; count: number; result: AppendResult }[] = [];
    const outcomes: Promise<void>[] = [];
    let failedCount = 0;
    for (let step = 0; step < 250; step++) {
      const action = random.integer(10);
      if (action === 0) log.disk.isHeld = !log.disk.isHeld;
      else if (action === 1) log.disk.allocateErrno = random.integer(2) === 0 ? null : -ENOSPC;
      else if (action === 2) log.disk.release(1 + random.integer(2));
      else if (action === 3) await turn();
      else if (action === 4) await delay(random.integer(2));
      else {
        const stream = random.pick(STREAMS);
        const count = 1 + random.integer(3);
        const id = random.integer(2) === 0 ? `${step}` : undefined;
        const events = Array.from({ length: count }, (_, index) => event(id && `${id}-${index}`, random.integer(6000)));
        const durability = random.pick(["sync", "group"] as const);
        outcomes.push(
          append(stream, events, { durability }).then(
            (result) => void results.push({ stream, count, result }),
            (error: { code: string }) => {
              assert.is(error.code, "ERR_WAL_FULL");
              failedCount++;
            },
          ),
        );
      }
      if (!log.disk.isHeld) log.disk.release();
    }
    log.disk.allocateErrno = null;
    log.disk.isHeld = false;
    log.disk.release();
    await Promise.all(outcomes);
    assert.ok(results.length > 0);
    let lsn = 0;
    const versions = new Map<string, number>();
    for (const { stream, count, result } of results) {
      const version = (versions.get(stream) ?? 0) + count;
      lsn += count;
      assert.equal([result.version, result.lsn], [version, lsn], `${stream} in round ${round}, ${failedCount} failed`);
      versions.set(stream, version);
    }
    for (const stream of STREAMS) {
      const version = versions.get(stream) ?? 0;
      assert.equal(await versionsOf(stream), [version, version]);
    }
    assert.is(log.watermarks.at(-1), lsn);
    refusedCount += failedCount;
    if (round < 7) await log.close();
  }
  assert.ok(refusedCount > 0, "some were refused");
});
