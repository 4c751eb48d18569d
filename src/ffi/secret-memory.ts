/**
 * Memory for keys: native, locked against swapping, left out of core dumps, and zeroed before it is given back.
 *
 * Not V8's memory: that is copied when it is moved, and freed when the collector likes, as it is. Where RLIMIT_MEMLOCK does not allow even
 * one page to be locked, it is used without, and `isLocked` says so.
 */

import { assert } from "../assert.js";
import { StoreError } from "../errors.js";
import { BLOCK_BYTES } from "./aligned-buffer.js";
import { errnoName } from "./errno.js";
import { copyMemory, keepFromDumps, lockMemory, mmap, munmap, viewMemory } from "./libc.js";

const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;

export class SecretMemory {
  readonly byteLength: number;
  /** For `copyFrom` in another thread of this process, for as long as this one is open. */
  readonly address: bigint;
  readonly isLocked: boolean;
  #bytes: Buffer | null;

  /** Whole pages of zeros. */
  constructor(byteLength: number) {
    assert(byteLength > 0 && byteLength % BLOCK_BYTES === 0, `secret memory of ${byteLength} bytes`);
    const address = mmap(byteLength, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
    if (address < 0n) {
      const errno = errnoName(Number(address));
      throw new StoreError("ERR_IO_FAILED", `cannot map memory for keys: ${errno}`, { errno });
    }
    keepFromDumps(address, byteLength);
    this.isLocked = lockMemory(address, byteLength) === 0;
    this.address = address;
    this.byteLength = byteLength;
    this.#bytes = Buffer.from(viewMemory(address, byteLength));
  }

  get isOpen(): boolean {
    return this.#bytes !== null;
  }

  /** Views of it must not be touched after `close`: nobody keeps one from one turn of the event loop to another. */
  get bytes(): Buffer {
    assert(this.#bytes !== null, "secret memory is open");
    return this.#bytes;
  }

  /** Takes over what another thread of this process has in its secret memory, which stays open meanwhile. */
  copyFrom(address: bigint, byteLength: number): void {
    assert(this.#bytes !== null && byteLength <= this.byteLength, "a copy fits into secret memory");
    copyMemory(this.address, address, byteLength);
  }

  /** Zeroes it and gives it back. A second time does nothing. */
  close(): void {
    if (this.#bytes === null) return;
    this.#bytes.fill(0);
    this.#bytes = null;
    munmap(this.address, this.byteLength);
  }
}
