import { planRestore, type RestorePlan } from "../../../src/wal/backup/restore-plan.js";
import { assert, rejects } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { type MadeLog, makeLog, sealedBench } from "../sealed/sealed-fixture.js";

const test = suite("wal/backup/restore-plan");

/** The last LSN of the last frame that ends at or before the LSN. */
function frameEndAt({ frames }: MadeLog, lsn: number): number {
  const ends = frames.map(({ header }) => header.firstLsn + header.recordCount - 1);
  return ends.findLast((end) => end <= lsn) ?? 0;
}

function recordCount(made: MadeLog, after: number, through: number): number {
  return [...made.records.keys()].filter((lsn) => lsn > after && lsn <= through).length;
}

test("a plan for any LSN ends between frames, and counts what is in and what is out", async () => {
  const bench = sealedBench();
  const made = makeLog(seededRandom(7), { frames: 60, streams: 9, recordsMax: 6, payloadMax: 900, voidEvery: 6 });
  const entries = await bench.merge(made, { segmentBytes: 24_000, blockBytes: 2_000 });
  const sealed = await bench.open(entries);
  assert.ok(entries.length > 3 && made.voids.length > 3);
  const fates = new Set<string>();
  for (let lsn = 0; lsn <= made.lastLsn; lsn++) {
    const plan = await planRestore(sealed, { toLsn: lsn }, 0);
    // What ends a segment that is taken whole can be a void.
    const wholeLsn = entries.findLast((entry) => entry.lastLsn <= lsn)?.lastLsn ?? 0;
    assert.is(plan.lsn, Math.max(frameEndAt(made, lsn), wholeLsn), `to LSN ${lsn}`);
    assert.is(plan.restored.events, recordCount(made, 0, plan.lsn));
    assert.is(plan.leftOut.events, recordCount(made, plan.lsn, made.lastLsn));
    assert.is(plan.restored.lastLsn ?? 0, plan.lsn);
    assert.is(plan.leftOut.firstLsn ?? made.lastLsn + 1, plan.lsn + 1);
    for (const { fate } of plan.segments) fates.add(fate);
    assert.ok(plan.segments.filter(({ fate }) => fate === "cut").length <= 1);
  }
  assert.equal([...fates].sort(), ["cut", "left out", "restored"]);
  await sealed.close();
  await bench.close();
});

test("a plan for a time has exactly what was recorded by then", async () => {
  const bench = sealedBench();
  const made = makeLog(seededRandom(8), { frames: 40, streams: 5, recordsMax: 4, payloadMax: 300 });
  const sealed = await bench.open(await bench.merge(made, { segmentBytes: 12_000, blockBytes: 1_000 }));
  const times = made.frames.map(({ header }) => header.recordedAt);
  const takenAt = (times.at(-1) as number) + 1_000;
  for (const time of [...times, (times[0] as number) - 1, (times[20] as number) + 1, takenAt]) {
    const plan = await planRestore(sealed, { toTime: time }, takenAt);
    const last = made.frames.findLast(({ header }) => header.recordedAt <= time)?.header;
    assert.is(plan.lsn, last === undefined ? 0 : last.firstLsn + last.recordCount - 1);
    assert.is(plan.restored.lastRecordedAt, last?.recordedAt ?? null);
  }
  await sealed.close();
  await bench.close();
});

test("beyond what the backup holds there is no plan", async () => {
  const bench = sealedBench();
  const made = makeLog(seededRandom(9), { frames: 5, streams: 2, recordsMax: 2, payloadMax: 10 });
  const sealed = await bench.open(await bench.merge(made));
  const beyond: Promise<RestorePlan>[] = [
    planRestore(sealed, { toLsn: made.lastLsn + 1 }, 0),
    planRestore(sealed, { toTime: 1_001 }, 1_000),
  ];
  for (const plan of beyond) await rejects(plan, "ERR_BACKUP_RANGE");
  assert.is((await planRestore(sealed, {}, 0)).lsn, made.lastLsn);
  await sealed.close();
  await bench.close();
});
