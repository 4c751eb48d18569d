/**
 * Whether a projection is to stand still: the file `paused` in its directory says so, to every process that runs it, also after a restart.
 */

import { StoreError } from "../errors.js";
import type { CheckpointDirectory } from "./checkpoint-directory.js";
import { PAUSED_MARKER } from "./control-watch.js";
import { removeMarker, writeMarker } from "./marker-file.js";

export class PauseSwitch {
  readonly #directory: CheckpointDirectory;
  readonly #onResume: () => void;
  #isPaused: boolean;
  /** Changes that are being written down: what was read meanwhile may be older. */
  #changes = 0;

  constructor(directory: CheckpointDirectory, isPaused: boolean, onResume: () => void) {
    this.#directory = directory;
    this.#isPaused = isPaused;
    this.#onResume = onResume;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  async pause(): Promise<void> {
    await this.#write(() => writeMarker(this.#directory.path, PAUSED_MARKER, `${new Date().toISOString()}\n`));
    this.#isPaused = true;
  }

  async resume(): Promise<void> {
    await this.#write(() => removeMarker(this.#directory.path, PAUSED_MARKER));
    this.#isPaused = false;
    this.#onResume();
  }

  /** What a look into the directory found. */
  heed(names: ReadonlySet<string>): void {
    if (this.#changes > 0) return;
    const wasPaused = this.#isPaused;
    this.#isPaused = names.has(PAUSED_MARKER);
    if (wasPaused && !this.#isPaused) this.#onResume();
  }

  async #write(change: () => Promise<void>): Promise<void> {
    this.#changes += 1;
    try {
      await change();
    } catch (cause) {
      const { path } = this.#directory;
      throw new StoreError("ERR_IO_FAILED", `${path} cannot be written to`, { file: path }, { cause });
    } finally {
      this.#changes -= 1;
    }
  }
}
