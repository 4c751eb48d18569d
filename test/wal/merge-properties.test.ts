/** The merge of cores against a naive sort: which records a log has, and when it is refused, for frames that fast-check makes, loses and shrinks. */

import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { isStoreError } from "../../src/errors.js";
import { BufferPool } from "../../src/ffi/aligned-buffer.js";
import { openIo } from "../../src/ffi/open-io.js";
import { salvageStore } from "../../src/index.js";
import { findLog } from "../../src/wal/find-log.js";
import { assert } from "../support/assert.js";
import { forAllAsync, record } from "../support/property.js";
import { suite } from "../support/suite.js";
import { BLOCK, HandLog, type HandWriter, recordsThrough } from "./support/hand-log.js";
import { KIBIBYTE, recordsOf } from "./support/log-fixture.js";

const test = suite("wal/merge properties");

interface Step {
  readonly core: number;
  readonly count: number;
  /** How many of the LSNs before it it attests, of 4. */
  readonly attests: number;
  readonly isLost: boolean;
  /** Whether its writer has died and a new one has the core. */
  readonly isNext: boolean;
}

const steps = fc.array(
  record<Step>({
    core: fc.nat({ max: 4 }),
    count: fc.integer({ min: 1, max: 4 }),
    attests: fc.nat({ max: 4 }),
    isLost: fc.nat({ max: 9 }).map((die) => die === 0),
    isNext: fc.nat({ max: 9 }).map((die) => die === 0),
  }),
  { minLength: 1, maxLength: 20 },
);

interface NaiveFrame {
  readonly firstLsn: number;
  readonly lastLsn: number;
  readonly durableLsn: number;
  readonly isThere: boolean;
  /** Whether all before it of its writer are there. */
  readonly isChained: boolean;
}

function written(plan: readonly Step[]): { log: HandLog; frames: NaiveFrame[] } {
  const log = new HandLog(4 * BLOCK);
  log.begin(1);
  const writers = new Map<number, HandWriter>();
  const broken = new Set<HandWriter>();
  const frames: NaiveFrame[] = [];
  let firstLsn = 1;
  for (const { core, count, attests, isLost, isNext } of plan) {
    const before = writers.get(core);
    const writer = before === undefined || isNext ? log.writer(core, before ?? null) : before;
    writers.set(core, writer);
    const durableLsn = Math.floor(((firstLsn - 1) * attests) / 4);
    writer.data(firstLsn, count, { durableLsn, isLost });
    if (isLost) broken.add(writer);
    const isChained = !broken.has(writer);
    frames.push({ firstLsn, lastLsn: firstLsn + count - 1, durableLsn, isThere: !isLost, isChained });
    firstLsn += count;
  }
  log.writeManifest();
  return { log, frames };
}

/** The end of the run without a hole, and what is attested, by looking at all frames again and again. */
function naive(frames: readonly NaiveFrame[]): { lastLsn: number; attestedLsn: number } {
  let lastLsn = 0;
  for (;;) {
    const next = frames.find(({ firstLsn, isChained }) => isChained && firstLsn === lastLsn + 1);
    if (next === undefined) break;
    lastLsn = next.lastLsn;
  }
  return {
    lastLsn,
    attestedLsn: Math.max(0, ...frames.filter(({ isThere }) => isThere).map((frame) => frame.durableLsn)),
  };
}

test("a log has the records that a naive merge has, and is refused where that ends below what is attested", async () => {
  await forAllAsync(
    steps,
    async (plan) => {
      const { log, frames } = written(plan);
      const { lastLsn, attestedLsn } = naive(frames);
      const io = openIo("buffered", join(log.directory, "lock"));
      const pool = new BufferPool(64 * KIBIBYTE, 16);
      const records: string[] = [];
      try {
        const place = { io, pool, directory: log.directory };
        const found = await findLog(place, (frame) => void records.push(...recordsOf(frame))).catch(
          (error: unknown) => error,
        );
        if (lastLsn < attestedLsn) {
          assert.ok(isStoreError(found, "ERR_WAL_CORRUPT"), String(found));
          assert.equal(
            [found.details["firstLostLsn"], found.details["lastLostLsn"]],
            [lastLsn + 1, attestedLsn],
            "what is lost is named",
          );
        } else {
          if (found instanceof Error || found === "absent") throw found;
          const { report } = found as Exclude<Awaited<ReturnType<typeof findLog>>, "absent">;
          assert.equal([report.lastLsn, report.attestedLsn], [lastLsn, attestedLsn]);
        }
        assert.equal(records, recordsThrough(lastLsn));
        // Salvage has every frame that is there, and says which that are attested are not. These records are no events.
        const { undecodable, lost } = await salvageStore(log.directory);
        const there = frames.filter(({ isThere }) => isThere);
        assert.is(
          undecodable,
          there.reduce((sum, frame) => sum + frame.lastLsn - frame.firstLsn + 1, 0),
        );
        const missing = Array.from({ length: attestedLsn }, (_, index) => index + 1).filter(
          (lsn) => !there.some((frame) => frame.firstLsn <= lsn && lsn <= frame.lastLsn),
        );
        assert.equal(
          lost.flatMap(([from, through]) => Array.from({ length: through - from + 1 }, (_, index) => from + index)),
          missing,
        );
      } finally {
        await io.close();
        pool.close();
        rmSync(dirname(log.directory), { recursive: true });
      }
    },
    80,
  );
});
