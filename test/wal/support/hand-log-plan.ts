/** Random logs of many cores: writers come and go, some die, over a few incarnations. */

import type { SeededRandom } from "../../support/seeded-random.js";
import { BLOCK, type HandFrame, HandLog, type HandWriter } from "./hand-log.js";

export interface PlannedLog {
  readonly log: HandLog;
  readonly frames: readonly HandFrame[];
  /** Runs of chained frames, by writer. */
  readonly runs: readonly (readonly HandFrame[])[];
}

/** A log of a few incarnations in which writers come and go, and some die and leave voids. */
export function planLog(random: SeededRandom): PlannedLog {
  const log = new HandLog((2 + random.integer(6)) * BLOCK);
  const coreCount = 2 + random.integer(7);
  const frames: HandFrame[] = [];
  const runs: HandFrame[][] = [];
  let nextLsn = 1;
  let durableLsn = 0;
  const ends: number[] = [];
  for (let incarnation = 1 + random.integer(3); incarnation > 0; incarnation--) {
    log.begin(nextLsn);
    const latest: (HandWriter | undefined)[] = [];
    const writers: { writer: HandWriter; run: HandFrame[] }[] = [];
    const attach = (): void => {
      const free = Array.from({ length: coreCount }, (_, core) => core).filter(
        (core) => !writers.some(({ writer }) => writer.core === core),
      );
      if (free.length === 0) return;
      const core = random.pick(free);
      const writer = log.writer(core, latest[core] ?? null);
      writer.prepare(nextLsn);
      latest[core] = writer;
      const run: HandFrame[] = [];
      runs.push(run);
      writers.push({ writer, run });
    };
    attach();
    for (let step = 5 + random.integer(30); step > 0; step--) {
      const dice = random.integer(20);
      if (dice === 0) attach();
      const pick = random.pick(writers);
      if (dice === 1 && writers.length > 1) {
        // It dies with a batch that is lost.
        const count = 1 + random.integer(4);
        pick.writer.data(nextLsn, count, { durableLsn, isLost: true });
        log.void(nextLsn, nextLsn + count - 1);
        nextLsn += count;
        writers.splice(writers.indexOf(pick), 1);
        continue;
      }
      const count = 1 + random.integer(5);
      const frame = pick.writer.data(nextLsn, count, { durableLsn });
      frames.push(frame);
      pick.run.push(frame);
      nextLsn += count;
      ends.push(nextLsn - 1);
      if (dice < 6) pick.run.push(pick.writer.control("ATTEST", nextLsn, durableLsn));
      if (random.integer(3) > 0) durableLsn = Math.max(durableLsn, ends[ends.length - 1 - random.integer(2)] ?? 0);
    }
    for (const writer of latest) if (writer !== undefined) log.left(writer);
    durableLsn = nextLsn - 1;
  }
  log.writeManifest();
  return { log, frames, runs };
}
