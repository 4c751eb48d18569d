/** The hash chain over the runs of all sealed segments. sealed-format.ts says what is hashed. */

import { createHash, hash } from "node:crypto";
import { encodeRunHeader, HASH_BYTES, LEAF_PREFIX_BYTES, RUN_HEADER_BYTES, type SealedRun } from "./sealed-format.js";

/** The chain's value before LSN 1. */
export const CHAIN_START: string = "0".repeat(2 * HASH_BYTES);

/** Up to this size one call over a copy is faster than three calls without one (measured). */
const COPIED_BYTES_MAX = 4096;

export class HashChain {
  #value: Buffer;
  readonly #scratch = Buffer.alloc(RUN_HEADER_BYTES + HASH_BYTES + COPIED_BYTES_MAX);
  readonly #pair = Buffer.alloc(2 * HASH_BYTES);

  constructor(value: Buffer) {
    this.#value = value;
  }

  /** The value after the runs so far. */
  get value(): Buffer {
    return this.#value;
  }

  add(run: SealedRun): void {
    this.#pair.set(this.#value, 0);
    this.#pair.set(run.leaf ?? this.#leafOf(run), HASH_BYTES);
    this.#value = hash("sha256", this.#pair, "buffer");
  }

  #leafOf(run: SealedRun): Buffer {
    const { body } = run;
    encodeRunHeader(this.#scratch, 0, run);
    if (body.length <= COPIED_BYTES_MAX) {
      this.#scratch.set(body, LEAF_PREFIX_BYTES);
      return hash("sha256", this.#scratch.subarray(0, LEAF_PREFIX_BYTES + body.length), "buffer");
    }
    return createHash("sha256").update(this.#scratch.subarray(0, LEAF_PREFIX_BYTES)).update(body).digest();
  }

  /** The leaf that a run keeps when records of it are removed. */
  leafOf(run: SealedRun): Buffer {
    return run.leaf ?? this.#leafOf(run);
  }
}
