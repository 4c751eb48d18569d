/** Every pair of key and nonce that anything of a seed was encrypted with, by whatever process, on whatever copy of the disk. */

import { subscribe } from "node:diagnostics_channel";
import { Violation } from "./history.js";

/** As `src/wal/crypt/gcm.ts` tells it. All realms have one channel. */
const CHANNEL = "varve:nonce";

let book: NonceBook | null = null;
let isListening = false;

export class NonceBook {
  readonly #pairs = new Set<string>();
  readonly #keys = new Set<string>();
  #twice: string | null = null;

  /** Takes the place of the one before: seeds run one after the other. */
  open(): void {
    book = this;
    if (isListening) return;
    isListening = true;
    subscribe(CHANNEL, (message) => {
      const { keyFingerprint, nonce } = message as { readonly keyFingerprint: string; readonly nonce: string };
      book?.add(keyFingerprint, nonce);
    });
  }

  add(keyFingerprint: string, nonce: string): void {
    const pair = `${keyFingerprint} ${nonce}`;
    if (this.#pairs.has(pair)) this.#twice ??= pair;
    this.#pairs.add(pair);
    this.#keys.add(keyFingerprint);
  }

  get count(): number {
    return this.#pairs.size;
  }

  get keyCount(): number {
    return this.#keys.size;
  }

  /** @throws Violation. Not where it happens: what a listener throws would be an error of the process that encrypts. */
  check(): void {
    if (this.#twice !== null) throw new Violation(`a pair of key and nonce was used twice: ${this.#twice}`);
  }
}
