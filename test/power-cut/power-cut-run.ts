/**
 * Cuts the power at every moment of some work, again and again: records what a disk is told while the work runs, sets it to what it could
 * hold after a cut, mounts it, and opens the store that is there.
 *
 * Real: io_uring, the file system, its journal and the kernel's block layer. Only the disk is not.
 */

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type SeededRandom, seededRandom } from "../support/seeded-random.js";
import { allCuts, type Cut, type DiskEntry, decodeRecord, flushedBefore, someCuts, survivors } from "./disk-record.js";
import { lookAtAppends } from "./look-at-appends.js";
import { lookAtSubjects } from "./look-at-subjects.js";
import type { Finding, Look, WorkName } from "./power-cut-place.js";
import { type FileSystem, RecordingDisk } from "./recording-disk.js";

const WRITER_DEADLINE_MS = 120_000;
/** What is done while the disk records, and how what it leaves is judged. */
const WORKS: Readonly<Record<WorkName, { readonly writer: string; readonly look: Look }>> = {
  appends: { writer: compiled("power-cut-writer"), look: lookAtAppends },
  subjects: { writer: compiled("subject-writer"), look: lookAtSubjects },
};
/** Of a build that is known to be wrong some failures are enough. */
const FAILURES_MAX = 20;

function compiled(child: string): string {
  return fileURLToPath(new URL(`./children/${child}.js`, import.meta.url));
}

export interface PowerCutOptions {
  readonly fileSystem: FileSystem;
  /** Appends, checkpoints and backups, or subjects that are forgotten. The former unless told otherwise. */
  readonly work?: WorkName;
  /** How many of all possible states are tried. */
  readonly states: number;
  readonly seed?: number;
  /** Compiled module of another build whose writes are recorded. */
  readonly writer?: string;
  readonly onState?: (done: number, of: number) => void;
}

export interface PowerCutReport {
  readonly fileSystem: FileSystem;
  readonly work: WorkName;
  readonly writes: number;
  readonly flushes: number;
  readonly acknowledged: number;
  /** States that differ, and those of them that were tried. */
  readonly possibleStates: number;
  readonly states: number;
  readonly tornTails: number;
  readonly unacknowledgedKept: number;
  readonly failures: readonly string[];
  readonly elapsedMs: number;
}

function work(writer: string, directory: string, marksPath: string): Promise<void> {
  const child = spawn(process.execPath, ["--enable-source-maps", writer, directory, marksPath], {
    stdio: ["ignore", "inherit", "inherit"],
    timeout: WRITER_DEADLINE_MS,
    killSignal: "SIGKILL",
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`the work ended with ${signal ?? code}`));
    });
  });
}

function marksBefore(entries: readonly DiskEntry[], at: number): string[] {
  return entries.slice(0, at).flatMap((entry) => (entry.kind === "mark" ? [entry.text] : []));
}

class Replay {
  readonly #disk: RecordingDisk;
  readonly #look: Look;
  readonly #entries: readonly DiskEntry[];
  readonly #random: SeededRandom;
  /** What lies before this entry is on the disk. */
  #writtenThrough = 0;

  constructor(disk: RecordingDisk, look: Look, entries: readonly DiskEntry[], random: SeededRandom) {
    this.#disk = disk;
    this.#look = look;
    this.#entries = entries;
    this.#random = random;
  }

  /** The cuts come in their order. */
  async state(cut: Cut, number: number): Promise<Finding> {
    const flushed = flushedBefore(this.#entries, cut.at);
    this.#disk.write(this.#entries.slice(this.#writtenThrough, flushed).filter((entry) => entry.kind === "write"));
    this.#writtenThrough = flushed;
    try {
      this.#disk.enter(survivors(this.#entries, cut, this.#random));
      return await this.#look(this.#disk.mountPoint, marksBefore(this.#entries, cut.at), number);
    } finally {
      this.#disk.leave();
    }
  }
}

export async function runPowerCuts(options: PowerCutOptions): Promise<PowerCutReport> {
  const { fileSystem, states, seed, work: name = "appends", onState } = options;
  const { look, writer } = { ...WORKS[name], ...(options.writer === undefined ? {} : { writer: options.writer }) };
  const startedMs = performance.now();
  const random = seededRandom(seed);
  const disk = new RecordingDisk(fileSystem);
  try {
    await work(writer, disk.mountPoint, disk.marksPath);
    const entries = decodeRecord(disk.end());
    const possible = allCuts(entries);
    const cuts = someCuts(possible, states, random);
    const replay = new Replay(disk, look, entries, random);
    const failures: string[] = [];
    let done = 0;
    let tornTails = 0;
    let unacknowledgedKept = 0;
    for (const cut of cuts) {
      try {
        const { isTorn, unacknowledgedCount } = await replay.state(cut, done);
        if (isTorn) tornTails++;
        unacknowledgedKept += unacknowledgedCount;
      } catch (error) {
        failures.push(`cut before entry ${cut.at}, ${cut.kind} since the last flush: ${(error as Error).message}`);
        if (failures.length === FAILURES_MAX) break;
      }
      done++;
      onState?.(done, cuts.length);
    }
    const countOf = (kind: DiskEntry["kind"]): number => entries.filter((entry) => entry.kind === kind).length;
    return {
      fileSystem,
      work: name,
      writes: countOf("write"),
      flushes: countOf("flush"),
      acknowledged: countOf("mark"),
      possibleStates: possible.length,
      states: done,
      tornTails,
      unacknowledgedKept,
      failures,
      elapsedMs: Math.round(performance.now() - startedMs),
    };
  } catch (error) {
    throw new Error(`with SEED=${random.seed}: ${(error as Error).message}`, { cause: error });
  } finally {
    disk.close();
  }
}
