/** Logs of many cores, written by hand: what is the log, what is lost, and where. */

import { cpSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { StoreError } from "../../src/errors.js";
import { BufferPool } from "../../src/ffi/aligned-buffer.js";
import { openIo } from "../../src/ffi/open-io.js";
import { type FoundLog, findLog, type LogPlace } from "../../src/wal/find-log.js";
import type { LogPosition } from "../../src/wal/log-facts.js";
import { readManifest } from "../../src/wal/manifest.js";
import { recoverLog } from "../../src/wal/open-log.js";
import { assert, rejects } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { BLOCK, damage, type HandFrame, HandLog, type HandWriter, lose, recordsThrough } from "./support/hand-log.js";
import { type PlannedLog, planLog } from "./support/hand-log-plan.js";
import { KIBIBYTE, recordsOf, snapshot } from "./support/log-fixture.js";

const test = suite("wal/log-scan");

const ROUNDS = process.env["VARVE_FUZZ"] === "all" ? 200 : 10;

async function withPlace<Result>(directory: string, work: (place: LogPlace) => Promise<Result>): Promise<Result> {
  const io = openIo("buffered", join(directory, "lock"));
  const pool = new BufferPool(64 * KIBIBYTE, 16);
  try {
    return await work({ io, pool, directory });
  } finally {
    await io.close();
    pool.close();
  }
}

interface Found extends FoundLog {
  readonly records: readonly string[];
  readonly positions: readonly LogPosition[];
}

/** Looks and changes nothing. */
function look(directory: string): Promise<Found> {
  return withPlace(directory, async (place) => {
    const records: string[] = [];
    const positions: LogPosition[] = [];
    const found = await findLog(place, (frame, position) => {
      records.push(...recordsOf(frame));
      positions.push(position);
    });
    if (found === "absent") throw new Error("there is no store");
    return { ...found, records, positions };
  });
}

function recover(directory: string): Promise<Found> {
  return withPlace(directory, async (place) => {
    const records: string[] = [];
    const positions: LogPosition[] = [];
    const options = { busyWaitMs: 1000, onWaiting: () => {}, nowUs: 1 };
    const { found, sealed } = await recoverLog(place, options, (frame, position) => {
      records.push(...recordsOf(frame));
      positions.push(position);
    });
    await sealed.close();
    return { ...found, records, positions };
  });
}

async function refusal(directory: string): Promise<StoreError> {
  const before = snapshot(directory);
  const error = (await rejects(look(directory), "ERR_WAL_CORRUPT")) as StoreError;
  assert.equal(snapshot(directory), before);
  return error;
}

/** Three writers that take turns, each frame attesting all before it. Frame n has LSN 2n − 1 and 2n. */
function threeCores(frameCount = 9): { log: HandLog; writers: HandWriter[]; frames: HandFrame[] } {
  const log = new HandLog();
  log.begin(1);
  const writers = [log.writer(0), log.writer(3), log.writer(5)];
  const frames: HandFrame[] = [];
  for (let index = 0; index < frameCount; index++) {
    const writer = writers[index % 3] as HandWriter;
    frames.push(writer.data(1 + index * 2, 2, { durableLsn: index * 2 }));
  }
  return { log, writers, frames };
}

test("frames of many cores come in LSN order, with the place of each", async () => {
  const { log, frames } = threeCores();
  const found = await look(log.directory);
  assert.equal(found.records, recordsThrough(18));
  assert.equal(
    found.positions,
    frames.map(({ core, segment, fileOffset }) => ({ core, segment, fileOffset })),
  );
  const { lastLsn, attestedLsn, rewrittenRecords, orphanFrames, tornAt, row } = found.report;
  assert.equal([lastLsn, attestedLsn, rewrittenRecords, orphanFrames, tornAt, row], [18, 16, 2, 0, null, "@L"]);
});

test("cores that all end with a seal serve without a doubt", async () => {
  const { log, writers } = threeCores();
  for (const writer of writers) writer.control("SEAL", 19, 18);
  const { report, records } = await look(log.directory);
  assert.equal([report.row, records.length], ["@I", 18]);
});

test("a seal that attests less than its own core wrote is none", async () => {
  const log = new HandLog();
  log.begin(1);
  const a = log.writer(0);
  a.data(1, 2);
  a.control("SEAL", 3, 1);
  // So the file that lost its zeros behind it is damaged.
  const error = (await rejects(look(log.directory), "ERR_WAL_CORRUPT")) as StoreError;
  assert.is(error.details["path"], a.path);
});

test("a control frame in the middle of a core belongs to its chain, and attests", async () => {
  const { log, writers, frames } = threeCores();
  (writers[1] as HandWriter).control("ATTEST", 19, 18);
  (writers[1] as HandWriter).data(19, 1, { durableLsn: 18 });
  assert.is((await look(log.directory)).report.attestedLsn, 18);
  damage(frames[7] as HandFrame); // of that core, before the ATTEST
  const error = await refusal(log.directory);
  assert.equal([error.details["firstLostLsn"], error.details["lastLostLsn"]], [15, 18]);
});

test("a torn tail of one core ends the log there: what others wrote behind it is counted, and never comes back", async () => {
  const log = new HandLog();
  log.begin(1);
  const [a, b, c] = [log.writer(0), log.writer(1), log.writer(2)] as const;
  a.data(1, 3);
  const torn = b.data(4, 2, { durableLsn: 3 });
  a.data(6, 1, { durableLsn: 3 });
  c.data(7, 2, { durableLsn: 3 });
  b.data(9, 1, { durableLsn: 3 });
  damage(torn);
  const found = await recover(log.directory);
  assert.equal(found.records, recordsThrough(3));
  const { row, orphanFrames, tornAt } = found.report;
  // Of the torn core the torn one, whose header is whole, and the one behind it.
  assert.equal([row, orphanFrames], ["@K", 4]);
  assert.equal(tornAt, { path: torn.path, offset: torn.fileOffset });
  damage(torn); // whole again
  for (let again = 0; again < 2; again++) assert.equal((await recover(log.directory)).records, recordsThrough(3));
});

test("a lost write that left zeros in one core is reported where it would be", async () => {
  const log = new HandLog();
  log.begin(1);
  const [a, b] = [log.writer(0), log.writer(1)] as const;
  a.data(1, 1);
  const lost = b.data(2, 1, { durableLsn: 1 });
  a.data(3, 1, { durableLsn: 1 });
  lose(lost);
  const { report, records } = await look(log.directory);
  assert.equal(records, recordsThrough(1));
  assert.equal([report.row, report.orphanFrames], ["@K", 1]);
});

test("damage in one core below what another one attests refuses, and names that core's file, place and LSNs", async () => {
  for (const [index, what] of [
    [0, "body"],
    [4, "body"],
    [5, "header"],
    [7, "header"],
  ] as const) {
    const { log, frames } = threeCores();
    const frame = frames[index] as HandFrame;
    damage(frame, what);
    const error = await refusal(log.directory);
    const { path, fileOffset, firstLsn } = frame;
    assert.equal(error.details, { path, offset: fileOffset, firstLostLsn: firstLsn, lastLostLsn: 16 });
  }
});

test("zeros in place of a durable frame at the end of a core refuse, and name the end of that core", async () => {
  const { log, writers, frames } = threeCores();
  // The others go on, so that only this core can have had it.
  for (const [index, writer] of [writers[0], writers[2]].entries())
    (writer as HandWriter).data(19 + index, 1, { durableLsn: 16 });
  lose(frames[7] as HandFrame);
  const error = await refusal(log.directory);
  const { path, fileOffset } = frames[7] as HandFrame;
  assert.equal(error.details, { path, offset: fileOffset, firstLostLsn: 15, lastLostLsn: 16 });
});

test("orphans attest too: behind a hole they prove that the hole was durable", async () => {
  const log = new HandLog();
  log.begin(1);
  const [a, b] = [log.writer(0), log.writer(1)] as const;
  const lost = a.data(1, 1);
  b.data(2, 1, { durableLsn: 1 });
  lose(lost);
  assert.equal((await refusal(log.directory)).details["lastLostLsn"], 1);
});

test("a missing segment in the middle of a core, or a whole core, refuses", async () => {
  const make = (): { log: HandLog; paths: string[] } => {
    const log = new HandLog(3 * BLOCK);
    log.begin(1);
    const writers = [log.writer(0), log.writer(1)] as const;
    const paths = new Set<string>();
    for (let lsn = 1; lsn <= 12; lsn++) {
      const frame = (writers[lsn % 2] as HandWriter).data(lsn, 1, { durableLsn: lsn - 1 });
      if (frame.core === 1) paths.add(frame.path);
    }
    return { log, paths: [...paths] };
  };
  for (const index of [0, 1]) {
    const { log, paths } = make();
    assert.is(paths.length, 3);
    rmSync(paths[index] as string);
    const error = await refusal(log.directory);
    assert.equal([error.details["path"], error.details["firstLostLsn"]], [paths[index], 1 + index * 4]);
  }
  const { log, paths } = make();
  for (const path of paths) rmSync(path);
  assert.is((await refusal(log.directory)).details["firstLostLsn"], 1);
});

test("files swapped between two cores are believed in neither", async () => {
  const { log, frames } = threeCores();
  const [one, other] = [(frames[0] as HandFrame).path, (frames[1] as HandFrame).path];
  renameSync(one, `${one}.swapped`);
  renameSync(other, one);
  renameSync(`${one}.swapped`, other);
  const error = await refusal(log.directory);
  assert.equal([error.details["firstLostLsn"], error.details["lastLostLsn"]], [1, 16]);
  assert.ok([one, other].includes(String(error.details["path"])));
});

test("a core's next writer begins a chain of its own, in files of its own, and the voids of the dead one count as filled", async () => {
  const log = new HandLog();
  log.begin(1);
  const [a, dead] = [log.writer(0), log.writer(1)] as const;
  a.data(1, 1);
  dead.data(2, 1, { durableLsn: 1 });
  const lost = dead.data(3, 2, { durableLsn: 2 });
  a.data(5, 1, { durableLsn: 2 });
  const orphan = dead.data(6, 3, { durableLsn: 2 });
  damage(lost);
  log.void(3, 4);
  log.void(6, 8);
  log.writeManifest();
  const next = log.writer(1, dead);
  next.data(9, 1, { durableLsn: 8 });
  a.data(10, 1, { durableLsn: 9 });
  const { records, report } = await look(log.directory);
  assert.equal(records, recordsThrough(10, log.voids));
  assert.equal([report.lastLsn, report.attestedLsn, report.rewrittenRecords], [10, 9, 1]);
  assert.ok(report.orphanFrames >= 1);
  assert.is(orphan.core, 1);
  // The lost one comes back, as a device may do it: it lies in a void.
  damage(lost);
  const revived = await look(log.directory);
  assert.equal(revived.records, recordsThrough(10, log.voids));
  assert.equal([revived.report.orphanFrames, revived.report.tornAt], [2, null]);
});

test("voids at the end of the log are durable as the manifest is, and no LSN of them is given again", async () => {
  const log = new HandLog();
  log.begin(1);
  const [a, b] = [log.writer(0), log.writer(1)] as const;
  a.data(1, 2);
  b.control("ATTEST", 3, 2);
  log.void(3, 7);
  log.writeManifest();
  const found = await recover(log.directory);
  assert.equal(found.records, recordsThrough(2));
  assert.equal([found.facts.lastLsn, found.facts.attestedLsn, found.report.rewrittenRecords], [7, 7, 0]);
  const after = await readManifest(log.directory);
  const incarnations = after.kind === "manifest" ? after.manifest.incarnations : [];
  assert.equal(
    incarnations.map(({ firstLsn, lastLsn, voids }) => [firstLsn, lastLsn, voids]),
    [
      [1, 7, [[3, 7]]],
      [8, null, []],
    ],
  );
});

test("voids behind the end of the log go with it", async () => {
  const log = new HandLog();
  log.begin(1);
  const [a, b] = [log.writer(0), log.writer(1)] as const;
  a.data(1, 1);
  lose(b.data(2, 1));
  log.void(3, 4);
  log.writeManifest();
  assert.equal((await recover(log.directory)).records, recordsThrough(1));
  const after = await readManifest(log.directory);
  assert.equal(after.kind === "manifest" ? after.manifest.incarnations[0]?.voids : null, []);
});

test("the next incarnation begins behind the files of every core", async () => {
  const log = new HandLog(3 * BLOCK);
  log.begin(1);
  const [a, b] = [log.writer(0), log.writer(4)] as const;
  for (let lsn = 1; lsn <= 8; lsn++) (lsn % 4 === 0 ? b : a).data(lsn, 1, { durableLsn: lsn - 1 });
  await recover(log.directory);
  const after = await readManifest(log.directory);
  const newest = after.kind === "manifest" ? after.manifest.incarnations.at(-1) : undefined;
  assert.equal(newest?.firstSegments, [4, 1, 1, 1, 2]);
});

test("what a checkpoint dropped is not missed, in any core, and what follows it must be there", async () => {
  const make = async (checkpointLsn: number): Promise<{ log: HandLog; frames: HandFrame[] }> => {
    const log = new HandLog(3 * BLOCK);
    log.begin(1);
    const writers = [log.writer(0), log.writer(1), log.writer(2)] as const;
    const frames: HandFrame[] = [];
    for (let lsn = 1; lsn <= 30; lsn++)
      frames.push((writers[lsn % 3] as HandWriter).data(lsn, 1, { durableLsn: lsn - 1 }));
    await log.seal(checkpointLsn);
    log.writeManifest();
    const isSealed = (path: string): boolean => frames.every((frame) => frame.path !== path || frame.lastLsn <= 14);
    for (const path of new Set(frames.map((frame) => frame.path))) if (isSealed(path)) rmSync(path);
    return { log, frames };
  };
  const { log, frames } = await make(14);
  assert.ok(readdirSync(join(log.directory, "wal", "core-000")).length < 5);
  for (const from of [log.directory, log.directory]) {
    const found = await recover(from);
    assert.equal(found.records, recordsThrough(30).slice(14));
    assert.is(found.facts.lastLsn, 30);
  }
  assert.ok(frames.length === 30);
  // The same files under a checkpoint that does not reach as far: something is missing.
  const early = await make(11);
  const error = await refusal(early.log.directory);
  assert.equal([error.details["firstLostLsn"], error.details["lastLostLsn"]], [12, 29]);
});

test("a segment that a checkpoint dropped and that comes back is not taken for a part of the log", async () => {
  const log = new HandLog();
  log.begin(1);
  const a = log.writer(0);
  const old = a.data(1, 4);
  log.left(a);
  log.begin(5);
  const b = log.writer(0);
  b.data(5, 1, { durableLsn: 4 });
  await log.seal(4);
  log.writeManifest();
  const kept = join(temporaryDirectory(), "kept.wal");
  cpSync(old.path, kept);
  rmSync(old.path);
  assert.equal((await recover(log.directory)).records, recordsThrough(5).slice(4));
  cpSync(kept, old.path);
  assert.equal((await recover(log.directory)).records, recordsThrough(5).slice(4));
});

test("a log that is all sealed has nothing to tell, and goes on behind the checkpoint", async () => {
  const log = new HandLog();
  log.begin(1);
  const a = log.writer(0);
  a.data(1, 2);
  log.left(a);
  log.begin(3);
  const b = log.writer(0);
  b.data(3, 2, { durableLsn: 2 });
  b.control("SEAL", 5, 4);
  log.end(4);
  await log.seal(4);
  log.writeManifest();
  rmSync(a.path);
  rmSync(b.path);
  const found = await recover(log.directory);
  assert.equal([found.records, found.facts.lastLsn, found.facts.attestedLsn], [[], 4, 4]);
  const after = await readManifest(log.directory);
  const newest = after.kind === "manifest" ? after.manifest.incarnations : [];
  assert.equal(
    newest.map(({ incarnation, firstLsn, firstSegments }) => [incarnation, firstLsn, firstSegments]),
    [[3, 5, [2]]],
  );
});

test("a writer that was killed while it prepared a file does not make the next one's files damage", async () => {
  const log = new HandLog();
  log.begin(1);
  const dead = log.writer(0);
  dead.data(1, 1);
  dead.nextSegment();
  writeFileSync(dead.path, "");
  const next = log.writer(0, dead);
  next.data(2, 1, { durableLsn: 1 });
  assert.equal((await look(log.directory)).records, recordsThrough(2));
  const same = new HandLog();
  same.begin(1);
  const one = same.writer(0);
  one.data(1, 1);
  one.nextSegment();
  writeFileSync(one.path, "");
  one.nextSegment();
  one.prepare(2);
  const error = (await rejects(look(same.directory), "ERR_WAL_CORRUPT")) as StoreError;
  assert.match(error.message, /no preamble/);
});

/** What is left of the log when these frames are there: by the definition, and not by the code. */
function expectedOf(log: HandLog, runs: PlannedLog["runs"], isThere: (frame: HandFrame) => boolean) {
  const { incarnations } = log.manifest;
  const chained = runs.flatMap((run) => {
    const end = run.findIndex((frame) => !isThere(frame));
    return end === -1 ? run : run.slice(0, end);
  });
  const data = chained.filter(({ kind }) => kind === "DATA").sort((a, b) => a.firstLsn - b.firstLsn);
  let lastLsn = 0;
  const fill = (): void => {
    for (const [from, through] of log.voids) if (from === lastLsn + 1) lastLsn = through;
  };
  fill();
  for (const frame of data) {
    if (frame.firstLsn !== lastLsn + 1) break;
    lastLsn = frame.lastLsn;
    fill();
  }
  const newest = incarnations.at(-1)?.incarnation;
  let attestedLsn = Math.max(...incarnations.map(({ firstLsn }) => firstLsn - 1));
  // Of incarnations that have ended only what is chained counts, and it attests less than the next one's beginning.
  for (const frame of runs.flat())
    if (isThere(frame) && frame.incarnation === newest) attestedLsn = Math.max(attestedLsn, frame.durableLsn);
  for (const [from, through] of log.voids) if (from === attestedLsn + 1) attestedLsn = through;
  return { lastLsn, attestedLsn };
}

test(
  "whichever core is cut at whichever frame, the log is the longest dense prefix, or refuses below what is attested",
  async () => {
    const random = seededRandom();
    const outcomes = { served: 0, refused: 0 };
    for (let round = 0; round < ROUNDS; round++) {
      const { log, frames, runs } = planLog(random);
      const whole = await look(log.directory);
      const last = frames.at(-1)?.lastLsn ?? 0;
      assert.equal(whole.records, recordsThrough(Math.max(last, whole.facts.lastLsn), log.voids), `round ${round}`);
      for (let cut = 0; cut < 12; cut++) {
        const run = random.pick(runs.filter((one) => one.length > 0));
        const at = Math.min(
          run.length - 1,
          run.length - 1 - (random.integer(2) === 0 ? 0 : random.integer(run.length)),
        );
        // From there on nothing is left of the writer, or only this one frame is lost.
        const gone = new Set(random.integer(2) === 0 ? run.slice(at) : [run[at] as HandFrame]);
        const copy = join(temporaryDirectory(), "store");
        cpSync(log.directory, copy, { recursive: true });
        for (const frame of gone) lose({ ...frame, path: frame.path.replace(log.directory, copy) });
        const expected = expectedOf(log, runs, (frame) => !gone.has(frame));
        const what = `round ${round}, cut ${cut}: ${JSON.stringify([...gone][0])} of ${gone.size}`;
        if (expected.lastLsn < expected.attestedLsn) {
          const error = (await rejects(look(copy), "ERR_WAL_CORRUPT")) as StoreError;
          const { firstLostLsn, lastLostLsn } = error.details;
          assert.equal([firstLostLsn, lastLostLsn], [expected.lastLsn + 1, expected.attestedLsn], what);
          outcomes.refused++;
          continue;
        }
        for (let again = 0; again < 3; again++) {
          const found = await recover(copy);
          assert.equal(found.records, recordsThrough(expected.lastLsn, log.voids), `${what}, time ${again}`);
          assert.is(found.facts.lastLsn, expected.lastLsn, what);
          // Once fenced, what was cut does not come back either.
          if (again === 1)
            for (const { path } of gone) cpSync(path, path.replace(log.directory, copy), { force: true });
        }
        outcomes.served++;
      }
    }
    console.log(JSON.stringify(outcomes));
    assert.ok(outcomes.served > 10 && outcomes.refused > 10, JSON.stringify(outcomes));
  },
  { timeoutMs: ROUNDS * 6_000 },
);
