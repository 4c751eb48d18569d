/** Zeroed memory of V8's for large tables: on a boundary of cache lines, and behind huge pages where the kernel has them. */

import { addressOf, adviseHugePages, HUGE_PAGE_BYTES } from "./libc.js";
import { collapseLater } from "./page-collapse.js";

const PAGE_BYTES = 4096n;
const LINE_BYTES = 64;
/** Below, a table fits into the processor's caches, and where it begins does not matter. */
const LARGE_BYTES = 64 * 1024;

/**
 * What is read at random from a table of hundreds of megabytes misses the caches, and the processor's table of pages too. A record of 64 bytes
 * that begins anywhere lies in two lines and costs two misses: allocators put large memory 16 bytes behind a boundary. And in a virtual machine
 * finding the page costs more than the miss (measured: 122 ns a read with small pages, 55 with huge ones).
 *
 * With `isFilled` the caller overwrites every byte before anything is read from it, and what lies there until then is anything. Huge pages come later then:
 * see page-collapse.ts.
 *
 * The memory is the collector's, as any other. The advice is for the whole pages within; Linux puts neighbours of one kind side by side, so that
 * little is left over.
 */
export function largeMemory(byteLength: number, isFilled = false): Uint8Array {
  if (byteLength < LARGE_BYTES) return new Uint8Array(byteLength);
  // Memory that was used before is set to zero by this thread, page by page; what is read from a file is touched by the thread that reads.
  const memory = isFilled ? Buffer.allocUnsafeSlow(byteLength + LINE_BYTES) : new Uint8Array(byteLength + LINE_BYTES);
  const address = addressOf(memory);
  if (byteLength >= HUGE_PAGE_BYTES) {
    const from = ((address + PAGE_BYTES - 1n) / PAGE_BYTES) * PAGE_BYTES;
    const end = ((address + BigInt(memory.byteLength)) / PAGE_BYTES) * PAGE_BYTES;
    if (isFilled) collapseLater(memory);
    else adviseHugePages(from, Number(end - from));
  }
  const start = (LINE_BYTES - Number(address % BigInt(LINE_BYTES))) % LINE_BYTES;
  return memory.subarray(start, start + byteLength);
}
