/**
 * Sleeping on words of shared memory where the kernel's io_uring cannot: a timer that looks, every 2 ms at first, then less often, every
 * 20 ms at last. It never keeps the process alive. A wake from elsewhere that comes without a change of the word goes unnoticed.
 */

import { assert } from "../assert.js";
import { EAGAIN, ECANCELED } from "./errno.js";
import { assertWord, type MappedFile } from "./mapped-file.js";
import type { Completion } from "./ring.js";

const DELAY_MS_MIN = 2;
const DELAY_MS_MAX = 20;
/** As many as there can be writers, and some that wait for one thing more each. */
const SLEEPER_COUNT_MAX = 256;

interface Sleeper {
  readonly file: MappedFile;
  readonly offset: number;
  readonly expected: number;
  readonly completion: Completion;
}

function hasChanged({ file, offset, expected }: Sleeper): boolean {
  return Atomics.load(file.int32, offset / 4) !== expected;
}

export class WordWatch {
  #sleepers: Sleeper[] = [];
  #timer: NodeJS.Timeout | null = null;
  #delayMs = DELAY_MS_MIN;
  #isClosed = false;

  /** Completes with 0 when the word has changed, −EAGAIN when it has done so already, −ECANCELED when the watch ends. Never at once. */
  sleep(file: MappedFile, offset: number, expected: number, completion: Completion): void {
    assertWord(file, offset, 4);
    const sleeper = { file, offset, expected, completion };
    if (this.#isClosed || hasChanged(sleeper)) {
      const result = this.#isClosed ? -ECANCELED : -EAGAIN;
      queueMicrotask(() => completion.complete(result));
      return;
    }
    assert(this.#sleepers.length < SLEEPER_COUNT_MAX, "the watch's users bound how many sleep");
    this.#sleepers.push(sleeper);
    this.#delayMs = DELAY_MS_MIN;
    this.#restart();
  }

  /** Wakes those who sleep here on that word. */
  wake(file: MappedFile, offset: number): void {
    this.#end(0, (sleeper) => sleeper.file === file && sleeper.offset === offset);
  }

  /** Resolves when all who slept were told. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#end(-ECANCELED, () => true);
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #restart(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), this.#delayMs);
    this.#timer.unref();
  }

  #look(): void {
    this.#timer = null;
    const hasEnded = this.#end(0, hasChanged);
    this.#delayMs = hasEnded ? DELAY_MS_MIN : Math.min(2 * this.#delayMs, DELAY_MS_MAX);
    if (this.#sleepers.length > 0) this.#restart();
  }

  /** Whether there was any. They are told one after the other, and never in the middle of something else. */
  #end(result: number, ends: (sleeper: Sleeper) => boolean): boolean {
    const ended = this.#sleepers.filter(ends);
    if (ended.length === 0) return false;
    this.#sleepers = this.#sleepers.filter((sleeper) => !ended.includes(sleeper));
    for (const { completion } of ended) queueMicrotask(() => completion.complete(result));
    return true;
  }
}
