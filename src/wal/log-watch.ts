/**
 * Follows a log for those who listen to a view of it: by the writers' word where they tell, else by a look at the files from time to time.
 *
 * Who listens has no call that could fail, and would wait for ever behind damage. So what a look finds wrong is told, but not at once: a look
 * has read again before it throws, and still only what the next look finds in the same place is believed. What the operating system refuses
 * (a descriptor, a read) says nothing of the log, and is tried again for as long as somebody listens.
 */

import { isStoreError } from "../errors.js";

const LOOK_AGAIN_MS = 100;
/** Of what is wrong nothing may get better for long, and each look reads what is not sealed. */
const LOOK_AGAIN_MS_MAX = 1000;
/** Two looks that are closer to each other, as of news that come at once, are one. */
const BELIEVED_AFTER_MS = LOOK_AGAIN_MS / 2;

export interface WatchedLog {
  readonly look: () => Promise<unknown>;
  readonly hasListeners: () => boolean;
  /** Whether writers tell of news. */
  readonly isTold: () => boolean;
  /** `failure` is set. */
  readonly onFailure: () => void;
}

export class LogWatch {
  readonly #log: WatchedLog;
  #timer: NodeJS.Timeout | null = null;
  #failedLooks = 0;
  #suspicion = "";
  #suspectedMs = 0;
  #failure: Error | null = null;
  #status: "open" | "closed" = "open";

  constructor(log: WatchedLog) {
    this.#log = log;
  }

  /** Why nothing will come any more; null again when a look succeeds. */
  get failure(): Error | null {
    return this.#failure;
  }

  /** Somebody listens, and nobody did: what was wrong before is for the looks to come to find. */
  begin(): void {
    this.#succeeded();
    this.#lookLater();
  }

  hearNews(): void {
    if (this.#status === "closed") return;
    if (this.#failure !== null && this.#timer !== null) return; // the timer looks: not at each of a damaged log's news
    void this.#log
      .look()
      .then(
        () => this.#succeeded(),
        (error: Error) => this.#failed(error),
      )
      .then(() => this.#lookLater());
  }

  #succeeded(): void {
    this.#failedLooks = 0;
    this.#suspicion = "";
    this.#failure = null;
  }

  #failed(error: Error): void {
    this.#failedLooks++;
    if (this.#status === "closed" || isStoreError(error, "ERR_IO_FAILED")) return;
    const suspicion = placeOf(error);
    if (suspicion !== this.#suspicion) {
      this.#suspicion = suspicion;
      this.#suspectedMs = performance.now();
    } else if (performance.now() - this.#suspectedMs >= BELIEVED_AFTER_MS) {
      this.#failure = error;
      this.#log.onFailure();
    }
  }

  /** While nobody tells of news, and after a look that failed. Writers that come later make a control file of their own. */
  #lookLater(): void {
    if (this.#timer !== null || this.#status === "closed" || !this.#log.hasListeners()) return;
    if (this.#failedLooks === 0 && this.#log.isTold()) return;
    const delayMs = Math.min(LOOK_AGAIN_MS * 2 ** Math.max(0, this.#failedLooks - 1), LOOK_AGAIN_MS_MAX);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.hearNews();
    }, delayMs);
    this.#timer.unref();
  }

  close(): void {
    this.#status = "closed";
    this.#failure = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/** Not the LSNs: those that are lost become more while others write. */
function placeOf(error: Error): string {
  if (!isStoreError(error)) return error.message;
  const { path, offset } = error.details;
  return [error.code, path, offset].join(" ");
}
