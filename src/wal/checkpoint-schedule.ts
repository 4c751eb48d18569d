/**
 * When a store makes a checkpoint by itself: when enough of its log is not sealed, but never for more than a tenth of the time.
 *
 * Every writer keeps count of what all of them write, by what they tell of themselves in shared memory. The one with the lowest core number
 * makes the checkpoint; the others would find the lease taken. It looks twice a second, which costs a few loads for each core, and the
 * work itself is done by a thread of its own. A checkpoint that fails is told of and tried again, later each time; appends go on.
 */

import { isStoreError, type StoreError } from "../errors.js";
import type { CheckpointReport } from "./checkpoint.js";
import type { CoreState } from "./control-file.js";
import { asStoreError } from "./write-failure.js";

const LOOK_MS = 500;
/** The next one begins after so many times what the last one took. */
const REST_FACTOR = 9;
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 5 * 60_000;

/** What of the log may be not sealed; 0: that alone is no reason. */
export interface CheckpointPolicy {
  readonly walBytes: number;
  readonly entries: number;
  /** Time since the last checkpoint, when there is anything to seal. */
  readonly intervalMs: number;
}

export interface UnsealedLog {
  readonly bytes: number;
  readonly entries: number;
  readonly ageMs: number;
}

/** Whether there is reason enough for a checkpoint. */
export function isCheckpointDue({ walBytes, entries, intervalMs }: CheckpointPolicy, unsealed: UnsealedLog): boolean {
  if (unsealed.entries === 0) return false;
  if (walBytes > 0 && unsealed.bytes >= walBytes) return true;
  if (entries > 0 && unsealed.entries >= entries) return true;
  return intervalMs > 0 && unsealed.ageMs >= intervalMs;
}

/** How long to rest after a checkpoint that took `durationMs`. */
export function restAfter(durationMs: number): number {
  return REST_FACTOR * durationMs;
}

/** How long to wait after so many failures in a row. */
export function retryAfter(failureCount: number): number {
  return Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** (failureCount - 1));
}

export interface ScheduledLog {
  readonly status: "open" | "closing" | "closed" | "failed";
  readonly watermark: number;
  readonly checkpointLsn: number;
  /** This writer's core. */
  readonly slot: number;
  cores(): readonly CoreState[];
  checkpoint(): Promise<CheckpointReport | null>;
}

export class CheckpointSchedule {
  readonly #log: ScheduledLog;
  readonly #policy: CheckpointPolicy;
  readonly #onError: (error: StoreError) => void;
  #timer: NodeJS.Timeout | null = null;
  /** Bytes that each core had written when they were counted last, by core and generation. */
  #countedBytes = new Map<string, number>();
  #unsealedBytes: number;
  #knownCheckpointLsn: number;
  #sealedAtMs: number = performance.now();
  #notBeforeMs = 0;
  #failureCount = 0;
  #isRunning = false;

  /** `unsealedBytes`: of the log that was found at opening. */
  constructor(
    log: ScheduledLog,
    policy: CheckpointPolicy,
    unsealedBytes: number,
    onError: (error: StoreError) => void,
  ) {
    this.#log = log;
    this.#policy = policy;
    this.#onError = onError;
    this.#unsealedBytes = unsealedBytes;
    this.#knownCheckpointLsn = log.checkpointLsn;
    this.#countBytes();
    this.#lookLater();
  }

  /** Checkpoints that failed since the last one that was made. */
  get failureCount(): number {
    return this.#failureCount;
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #lookLater(): void {
    this.#timer = setTimeout(() => {
      this.#look();
      if (this.#timer !== null && this.#log.status === "open") this.#lookLater();
    }, LOOK_MS);
    this.#timer.unref();
  }

  /** What was written since it was counted last, by all writers. */
  #countBytes(): number {
    let written = 0;
    const counted = new Map<string, number>();
    for (const { core, generation, bytes } of this.#log.cores()) {
      const key = `${core}/${generation}`;
      written += bytes - (this.#countedBytes.get(key) ?? 0);
      counted.set(key, bytes);
    }
    this.#countedBytes = counted;
    return written;
  }

  #look(): void {
    const nowMs = performance.now();
    const { checkpointLsn, watermark } = this.#log;
    const written = this.#countBytes();
    if (checkpointLsn > this.#knownCheckpointLsn) {
      // Somebody has made one. What was written while it was made counts for the next; how much that is, nobody tells.
      this.#knownCheckpointLsn = checkpointLsn;
      this.#unsealedBytes = 0;
      this.#sealedAtMs = nowMs;
    }
    this.#unsealedBytes += written;
    if (this.#isRunning || nowMs < this.#notBeforeMs || this.#log.status !== "open" || !this.#isFirst()) return;
    const unsealed = {
      bytes: this.#unsealedBytes,
      entries: watermark - checkpointLsn,
      ageMs: nowMs - this.#sealedAtMs,
    };
    if (isCheckpointDue(this.#policy, unsealed)) void this.#run();
  }

  #isFirst(): boolean {
    return this.#log.cores().find(({ isLive }) => isLive)?.core === this.#log.slot;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    const startedMs = performance.now();
    try {
      const report = await this.#log.checkpoint();
      if (report !== null) this.#failureCount = 0;
      const endedMs = performance.now();
      this.#notBeforeMs = endedMs + restAfter(endedMs - startedMs);
    } catch (error) {
      if (this.#log.status !== "open" && isStoreError(error, "ERR_STORE_CLOSED")) return;
      this.#failureCount++;
      this.#notBeforeMs = performance.now() + retryAfter(this.#failureCount);
      this.#onError(asStoreError(error));
    } finally {
      this.#isRunning = false;
    }
  }
}
