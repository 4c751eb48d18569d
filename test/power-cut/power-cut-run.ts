/**
 * Cuts the power at every moment of some work, again and again: records what a disk is told while the work runs, sets it to what it could
 * hold after a cut, mounts it, and opens the store that is there.
 *
 * Real: io_uring, the file system, its journal and the kernel's block layer. Only the disk is not.
 */

import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { openReader, openStore } from "../../src/index.js";
import { AppendOracle } from "../crash/append-oracle.js";
import { type PlannedData, planOf } from "../crash/kill-plan.js";
import { appendPlanned } from "../crash/planned-append.js";
import { type SeededRandom, seededRandom } from "../support/seeded-random.js";
import { allCuts, type Cut, type DiskEntry, decodeRecord, flushedBefore, someCuts, survivors } from "./disk-record.js";
import { BACKUP, STORE } from "./power-cut-place.js";
import { type FileSystem, RecordingDisk } from "./recording-disk.js";

const WRITER = fileURLToPath(new URL("./children/power-cut-writer.js", import.meta.url));
const WRITER_DEADLINE_MS = 120_000;
const SEGMENT_BYTES = 128 * 1024;
/** Of a build that is known to be wrong some failures are enough. */
const FAILURES_MAX = 20;

export interface PowerCutOptions {
  readonly fileSystem: FileSystem;
  /** How many of all possible states are tried. */
  readonly states: number;
  readonly seed?: number;
  /** Compiled module of another build whose writes are recorded. */
  readonly writer?: string;
  readonly onState?: (done: number, of: number) => void;
}

export interface PowerCutReport {
  readonly fileSystem: FileSystem;
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

interface Finding {
  readonly isTorn: boolean;
  readonly unacknowledgedCount: number;
}

async function read(events: AsyncIterable<{ lsn: number; stream: string; version: number; data: unknown }>) {
  const found: { lsn: number; stream: string; version: number; data: PlannedData }[] = [];
  for await (const { lsn, stream, version, data } of events)
    found.push({ lsn, stream, version, data: data as PlannedData });
  return found;
}

/** A backup that was made is there, and holds what the store does. */
async function lookAtBackup(directory: string, lsn: number, events: readonly unknown[]): Promise<void> {
  const reader = await openReader(directory);
  try {
    const saved = await read(reader.readAll());
    if (saved.length < lsn) throw new Error(`the backup was made up to LSN ${lsn}, and ends with ${saved.length}`);
    if (!isDeepStrictEqual(saved, events.slice(0, saved.length))) throw new Error("the backup holds other events");
    await reader.verifySealed();
  } finally {
    await reader.close();
  }
}

/** Opens the store, judges what is there, appends to it, and judges what a reader finds then. */
async function look(place: string, acks: readonly Acknowledged[], again: string): Promise<Finding> {
  const directory = join(place, STORE);
  const backup = acks.findLast(({ name }) => name === BACKUP);
  const oracle = new AppendOracle();
  oracle.acknowledge(acks.filter(({ name }) => name !== BACKUP));
  const store = await openStore(directory, { segmentBytes: SEGMENT_BYTES });
  let finding: Finding;
  try {
    const events = await read(store.readAll());
    const unacknowledgedCount = oracle.check(events);
    if (backup !== undefined) await lookAtBackup(join(place, BACKUP), backup.lsn, events);
    finding = { isTorn: store.recovery.tornAt !== null, unacknowledgedCount };
    const plan = planOf(again);
    oracle.acknowledge([{ name: plan.name, lsn: await appendPlanned(store, plan) }]);
    oracle.check(await read(store.readAll()));
  } finally {
    await store.close();
  }
  const reader = await openReader(directory);
  try {
    oracle.check(await read(reader.readAll()));
  } finally {
    await reader.close();
  }
  return finding;
}

interface Acknowledged {
  readonly name: string;
  readonly lsn: number;
}

function acksBefore(entries: readonly DiskEntry[], at: number): Acknowledged[] {
  return entries.slice(0, at).flatMap((entry) => {
    if (entry.kind !== "mark") return [];
    const [name, lsn] = entry.text.split(" ") as [string, string];
    return [{ name, lsn: Number(lsn) }];
  });
}

class Replay {
  readonly #disk: RecordingDisk;
  readonly #entries: readonly DiskEntry[];
  readonly #random: SeededRandom;
  /** What lies before this entry is on the disk. */
  #writtenThrough = 0;

  constructor(disk: RecordingDisk, entries: readonly DiskEntry[], random: SeededRandom) {
    this.#disk = disk;
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
      return await look(this.#disk.mountPoint, acksBefore(this.#entries, cut.at), `9.0.${number}`);
    } finally {
      this.#disk.leave();
    }
  }
}

export async function runPowerCuts(options: PowerCutOptions): Promise<PowerCutReport> {
  const { fileSystem, states, seed, writer = WRITER, onState } = options;
  const startedMs = performance.now();
  const random = seededRandom(seed);
  const disk = new RecordingDisk(fileSystem);
  try {
    await work(writer, disk.mountPoint, disk.marksPath);
    const entries = decodeRecord(disk.end());
    const possible = allCuts(entries);
    const cuts = someCuts(possible, states, random);
    const replay = new Replay(disk, entries, random);
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
