/** The hash chain over the frames of all sealed segments. sealed-format.ts says what is hashed. */

import { createHash, type Hash, hash } from "node:crypto";
import type { StoreKeys } from "../crypt/store-keys.js";
import { encodeRunHeader, HASH_BYTES, LEAF_PREFIX_BYTES, RUN_HEADER_BYTES, type SealedRun } from "./sealed-format.js";

/** The chain's value before LSN 1. */
export const CHAIN_START: string = "0".repeat(2 * HASH_BYTES);

/** Up to this size one call over a copy is faster than several without one (measured). */
const COPIED_BYTES_MAX = 4096;
const COUNT_BYTES = 4;

export class HashChain {
  #value: Buffer;
  readonly #keys: StoreKeys | null;
  readonly #scratch = Buffer.alloc(RUN_HEADER_BYTES + HASH_BYTES + COPIED_BYTES_MAX);
  readonly #pair = Buffer.alloc(2 * HASH_BYTES);
  /** Of a frame whose next run is to come. */
  #open: Hash | null = null;
  #openCount = 0;

  /** `keys`: of a store that is encrypted. */
  constructor(value: Buffer, keys: StoreKeys | null) {
    this.#value = value;
    this.#keys = keys;
  }

  /** The value after the frames so far. */
  get value(): Buffer {
    return this.#value;
  }

  /** Whether a frame is not at its end. */
  get isOpen(): boolean {
    return this.#open !== null;
  }

  /** Adds the next run. */
  add(run: SealedRun): void {
    if (run.kind === "dropped" && run.leaf !== null) {
      this.#value = Buffer.from(run.leaf);
      return;
    }
    const leaf = this.#leafAfter(run);
    if (leaf === null) return;
    this.#pair.set(this.#value, 0);
    this.#pair.set(run.leaf ?? leaf, HASH_BYTES);
    this.#value = hash("sha256", this.#pair, "buffer");
  }

  /** The leaf when the run ends its frame. */
  #leafAfter(run: SealedRun): Buffer | null {
    const { body, header, goesOn } = run;
    if (this.#open === null) {
      const pepper = this.#keys?.chainPepper ?? null;
      encodeRunHeader(this.#scratch, 0, run);
      if (pepper === null && !goesOn && body.length <= COPIED_BYTES_MAX) {
        this.#scratch.set(body, LEAF_PREFIX_BYTES);
        const end = this.#scratch.writeUInt32LE(header.recordCount, LEAF_PREFIX_BYTES + body.length);
        return hash("sha256", this.#scratch.subarray(0, end), "buffer");
      }
      this.#open = leafHash(pepper).update(this.#scratch.subarray(0, LEAF_PREFIX_BYTES));
      this.#openCount = 0;
    }
    this.#open.update(body);
    this.#openCount += header.recordCount;
    if (goesOn) return null;
    this.#scratch.writeUInt32LE(this.#openCount, 0);
    const leaf = this.#open.update(this.#scratch.subarray(0, COUNT_BYTES)).digest();
    this.#open = null;
    return leaf;
  }
}

function leafHash(pepper: Uint8Array | null): Hash {
  const sha = createHash("sha256");
  return pepper === null ? sha : sha.update(pepper);
}

/** The leaf of a frame, given as its runs: what they keep when records of them are removed. */
export function leafOf(runs: readonly SealedRun[], keys: StoreKeys | null): Buffer {
  const kept = runs[0]?.leaf;
  if (kept !== undefined && kept !== null) return kept;
  const sha = leafHash(keys?.chainPepper ?? null);
  const header = Buffer.alloc(RUN_HEADER_BYTES);
  let recordCount = 0;
  for (const [index, run] of runs.entries()) {
    if (index === 0) {
      encodeRunHeader(header, 0, run);
      sha.update(header.subarray(0, LEAF_PREFIX_BYTES));
    }
    sha.update(run.body);
    recordCount += run.header.recordCount;
  }
  header.writeUInt32LE(recordCount, 0);
  return sha.update(header.subarray(0, COUNT_BYTES)).digest();
}
