/**
 * Puts huge pages behind memory that was filled from a file, a little at a time, once it is in use.
 *
 * Not before it is filled: the kernel clears a page when it is first touched, and a huge one is always taken from large free memory. Where a hypervisor
 * takes that back from the machine, it is handed out again at 2 ms for each page of 2 MiB (measured: 500 MB take 900 to 1,600 ms, with small pages 220 to
 * 380, of memory that is the machine's already 60). What is loaded is asked for the first answer first, and reads are fast a few seconds later.
 */

import { addressOf, adviseHugePages, collapsePages, HUGE_PAGE_BYTES } from "./libc.js";

/** After the last memory that was asked for: it is being filled. */
const DELAY_MS = 500;
/** Between two pages, each of which keeps this thread for up to 7 ms (measured in a virtual machine). */
const PAUSE_MS = 20;

interface Piece {
  /** Not kept alive by waiting here. */
  readonly memory: WeakRef<ArrayBufferLike>;
  /** Where the next page begins in it. */
  at: number;
}

// Of this thread; the memory that it gives out is its own.
const waiting: Piece[] = [];
let timer: NodeJS.Timeout | null = null;

/** Has huge pages put behind it later; what it holds stays. */
export function collapseLater({ buffer }: Uint8Array): void {
  const address = addressOf(new Uint8Array(buffer));
  const at = Number(BigInt(HUGE_PAGE_BYTES) - (address % BigInt(HUGE_PAGE_BYTES))) % HUGE_PAGE_BYTES;
  waiting.push({ memory: new WeakRef(buffer), at });
  if (timer !== null) clearTimeout(timer);
  timer = setTimeout(collapseNext, DELAY_MS).unref();
}

function collapseNext(): void {
  const [piece] = waiting;
  const buffer = piece?.memory.deref();
  timer = null;
  if (piece === undefined) return;
  if (buffer === undefined || piece.at + HUGE_PAGE_BYTES > buffer.byteLength) waiting.shift();
  else {
    const address = addressOf(new Uint8Array(buffer)) + BigInt(piece.at);
    if (collapsePages(address, HUGE_PAGE_BYTES)) piece.at += HUGE_PAGE_BYTES;
    else {
      // An old kernel, or no room: it is left to the kernel.
      adviseHugePages(address, buffer.byteLength - piece.at);
      waiting.shift();
    }
  }
  timer = setTimeout(collapseNext, PAUSE_MS).unref();
}
