import { StoreError } from "../../src/errors.js";
import type { CheckpointReport } from "../../src/wal/checkpoint.js";
import {
  type CheckpointPolicy,
  CheckpointSchedule,
  isCheckpointDue,
  restAfter,
  retryAfter,
  type ScheduledLog,
} from "../../src/wal/checkpoint-schedule.js";
import type { CoreState } from "../../src/wal/control-file.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("wal/checkpoint-schedule");

const NEVER: CheckpointPolicy = { walBytes: 0, entries: 0, intervalMs: 0 };

test("each reason is enough by itself, 0 is none, and nothing to seal is never a reason", () => {
  const much = { bytes: 1e12, entries: 1e9, ageMs: 1e9 };
  assert.is(isCheckpointDue(NEVER, much), false);
  assert.is(isCheckpointDue({ ...NEVER, walBytes: 1000 }, { bytes: 999, entries: 1, ageMs: 0 }), false);
  assert.is(isCheckpointDue({ ...NEVER, walBytes: 1000 }, { bytes: 1000, entries: 1, ageMs: 0 }), true);
  assert.is(isCheckpointDue({ ...NEVER, entries: 10 }, { bytes: 1, entries: 9, ageMs: 0 }), false);
  assert.is(isCheckpointDue({ ...NEVER, entries: 10 }, { bytes: 1, entries: 10, ageMs: 0 }), true);
  assert.is(isCheckpointDue({ ...NEVER, intervalMs: 10 }, { bytes: 1, entries: 1, ageMs: 9 }), false);
  assert.is(isCheckpointDue({ ...NEVER, intervalMs: 10 }, { bytes: 1, entries: 1, ageMs: 10 }), true);
  const all = { walBytes: 1, entries: 1, intervalMs: 1 };
  assert.is(isCheckpointDue(all, { bytes: 1e12, entries: 0, ageMs: 1e9 }), false);
});

test("it rests for nine times as long as it worked, and tries again later after each failure", () => {
  assert.is(restAfter(700), 6300);
  assert.equal([1, 2, 3, 20].map(retryAfter), [1000, 2000, 4000, 300_000]);
});

function coreOf(core: number, isLive: boolean, bytes: number): CoreState {
  return { core, generation: 1, isLive, pid: 1, frames: 0, records: 0, bytes, pendingRecords: 0 };
}

interface FakeLog extends ScheduledLog {
  readonly calls: number[];
}

function fakeLog(slot: number, cores: readonly CoreState[], fails: boolean): FakeLog {
  const calls: number[] = [];
  const log = {
    status: "open" as const,
    watermark: 100,
    checkpointLsn: 0,
    slot,
    calls,
    cores: () => cores,
    checkpoint: async () => {
      calls.push(performance.now());
      if (fails) throw new StoreError("ERR_IO_FAILED", "no");
      log.checkpointLsn = log.watermark;
      return {} as CheckpointReport;
    },
  };
  return log;
}

test("the writer with the lowest living core makes it; what fails is told and tried again", async () => {
  const cores = [coreOf(0, false, 0), coreOf(1, true, 0), coreOf(2, true, 0)];
  const logs = [fakeLog(1, cores, false), fakeLog(2, cores, false), fakeLog(1, cores, true)] as const;
  const errors: string[] = [];
  const policy = { ...NEVER, entries: 100 };
  const schedules = logs.map((log) => new CheckpointSchedule(log, policy, 0, ({ code }) => errors.push(code)));
  // Timers of these schedules hold nobody.
  await new Promise((resolve) => setTimeout(resolve, 2400));
  for (const schedule of schedules) schedule.stop();
  assert.equal(
    logs.map(({ calls }) => calls.length),
    [1, 0, 2],
  );
  const [first = 0, second = 0] = logs[2].calls;
  assert.ok(second - first >= 1000, "not at once again");
  assert.equal(errors, ["ERR_IO_FAILED", "ERR_IO_FAILED"]);
  assert.equal(
    schedules.map(({ failureCount }) => failureCount),
    [0, 0, 2],
  );
});

test("bytes count over all writers from when they were counted first, and what was found at opening counts too", async () => {
  const cores = [coreOf(0, true, 5000), coreOf(1, true, 5000)];
  const policy = { ...NEVER, walBytes: 1000 };
  const logs = [fakeLog(0, cores, false), fakeLog(0, cores, false)] as const;
  const schedules = [0, 1000].map((found, index) => {
    return new CheckpointSchedule(logs[index] as FakeLog, policy, found, () => {});
  });
  await new Promise((resolve) => setTimeout(resolve, 700));
  assert.equal(
    logs.map(({ calls }) => calls.length),
    [0, 1],
  );
  cores[1] = coreOf(1, true, 6000);
  await new Promise((resolve) => setTimeout(resolve, 700));
  for (const schedule of schedules) schedule.stop();
  assert.is(logs[0].calls.length, 1);
});
