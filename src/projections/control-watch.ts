/**
 * Looks into a projection's directory twice a second, for what others have put there: that it is to pause, or a state that was rebuilt elsewhere.
 *
 * Polling and not inotify: it needs no watch that can run out, works on every file system, and one listing of a few names is cheap.
 */

import type { CheckpointDirectory } from "./checkpoint-directory.js";

export const LOOK_INTERVAL_MS = 500;

/** The file that has runners stand still while it is there. */
export const PAUSED_MARKER = "paused";

export class ControlWatch {
  readonly #directory: CheckpointDirectory;
  readonly #onLook: (names: readonly string[]) => void;
  #timer: NodeJS.Timeout | null = null;
  #isStopped = false;

  constructor(directory: CheckpointDirectory, onLook: (names: readonly string[]) => void) {
    this.#directory = directory;
    this.#onLook = onLook;
    this.#plan();
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #plan(): void {
    this.#timer = setTimeout(() => void this.#look(), LOOK_INTERVAL_MS);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    // What cannot be listed now can be the next time; the checkpoints tell of a directory that stays broken.
    const names = await this.#directory.names().catch(() => null);
    if (this.#isStopped) return;
    if (names !== null) this.#onLook(names);
    this.#plan();
  }
}
