/**
 * Page-aligned native memory for direct I/O.
 *
 * The memory comes from mmap(2), not from V8: the kernel may still read or write it when a worker thread has been
 * terminated, and memory that V8 has freed by then belongs to somebody else.
 */

import { assert } from "../assert.js";
import { StoreError } from "../errors.js";
import { errnoName } from "./errno.js";
import { adviseHugePages, mmap, munmap, viewMemory } from "./libc.js";

const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;

/** Direct I/O here is always in whole blocks of this size, which suits devices with 512-byte and 4096-byte sectors. */
export const BLOCK_BYTES = 4096;

/**
 * Of x86-64, and of AArch64 with 4 KiB pages. A direct write of 2 MiB from one huge page is handed to the device in a few pieces; from 512
 * small pages in dozens, which costs the submitting thread more than anything else (measured).
 */
const HUGE_PAGE_BYTES = 2 * 1024 * 1024;

function roundUp(value: bigint, unit: bigint): bigint {
  return ((value + unit - 1n) / unit) * unit;
}

/** One leased piece of aligned memory. `bytes` is zero when the buffer is new, and holds old bytes when it is reused. */
export class AlignedBuffer {
  readonly bytes: Buffer;
  readonly byteLength: number;
  /** The address in two halves, so that filling a submission entry needs no BigInt. */
  readonly addressLow: number;
  readonly addressHigh: number;
  readonly #mapping: { readonly address: bigint; readonly byteLength: number };

  constructor(byteLength: number) {
    assert(byteLength > 0 && byteLength % BLOCK_BYTES === 0, `aligned buffer of ${byteLength} bytes`);
    // A huge page must begin on a boundary of its size, which mmap does not promise: so there is one more to choose from.
    const isHuge = byteLength >= HUGE_PAGE_BYTES;
    const mappedBytes = isHuge ? byteLength + HUGE_PAGE_BYTES : byteLength;
    const mapped = mmap(mappedBytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
    if (mapped < 0n) {
      const name = errnoName(Number(mapped));
      throw new StoreError("ERR_IO_FAILED", `cannot map ${byteLength} bytes of memory: ${name}`, { errno: name });
    }
    this.#mapping = { address: mapped, byteLength: mappedBytes };
    const address = isHuge ? roundUp(mapped, BigInt(HUGE_PAGE_BYTES)) : mapped;
    if (isHuge) adviseHugePages(address, byteLength);
    this.byteLength = byteLength;
    this.addressLow = Number(address & 0xffff_ffffn);
    this.addressHigh = Number(address >> 32n);
    this.bytes = Buffer.from(viewMemory(address, byteLength));
  }

  /** Gives the memory back to the kernel. Nobody may hold a view or have I/O in flight. */
  unmap(): void {
    munmap(this.#mapping.address, this.#mapping.byteLength);
  }
}

/**
 * Lends buffers of one size and takes them back. The number of buffers is bounded; buffers are mapped when first needed
 * and kept, because mapping and faulting in a MiB costs more than writing it.
 */
export class BufferPool {
  readonly bufferBytes: number;
  readonly bufferCountMax: number;
  readonly #free: AlignedBuffer[] = [];
  #mappedCount = 0;
  #closed = false;

  constructor(bufferBytes: number, bufferCountMax: number) {
    this.bufferBytes = bufferBytes;
    this.bufferCountMax = bufferCountMax;
  }

  get leasedCount(): number {
    return this.#mappedCount - this.#free.length;
  }

  /** A buffer, or null when all are lent. */
  take(): AlignedBuffer | null {
    assert(!this.#closed, "buffer taken from a closed pool");
    const buffer = this.#free.pop();
    if (buffer !== undefined) return buffer;
    if (this.#mappedCount === this.bufferCountMax) return null;
    const fresh = new AlignedBuffer(this.bufferBytes);
    this.#mappedCount++;
    return fresh;
  }

  release(buffer: AlignedBuffer): void {
    assert(buffer.byteLength === this.bufferBytes, "buffer released to the pool it came from");
    if (this.#closed) {
      this.#mappedCount--;
      buffer.unmap();
    } else {
      this.#free.push(buffer);
    }
  }

  /** Unmaps the free buffers now and the lent ones as they come back. */
  close(): void {
    this.#closed = true;
    for (const buffer of this.#free.splice(0)) {
      this.#mappedCount--;
      buffer.unmap();
    }
  }
}
