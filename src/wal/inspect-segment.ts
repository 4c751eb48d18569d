/**
 * Shows what a segment file holds, block by block, whether it is whole or not.
 *
 * For people who look into a store: it believes nothing but checksums, needs no manifest and no lock, goes on behind
 * damage, and only reads.
 */

import { open } from "node:fs/promises";
import { BLOCK_BYTES } from "../ffi/index.js";
import { FileWindow } from "./file-window.js";
import {
  decodeFrameHeader,
  decodePreamble,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  frameBytes,
  isAtItsPlace,
  isBodyValid,
  PREAMBLE_BYTES,
  type Preamble,
} from "./format.js";

/** What lies at an offset of a segment file. */
export type SegmentItem =
  | { readonly kind: "preamble"; readonly fileOffset: number; readonly preamble: Preamble }
  | {
      readonly kind: "frame";
      readonly fileOffset: number;
      readonly header: FrameHeader;
      /** "cut": the file ends before the body does. */
      readonly body: "valid" | "damaged" | "cut";
      /** Whether it was written for this place of this file, as far as the preamble tells. */
      readonly isAtItsPlace: boolean;
    }
  /** Blocks that hold neither a header nor zeros. */
  | { readonly kind: "damaged"; readonly fileOffset: number; readonly byteLength: number }
  | { readonly kind: "unsupported"; readonly fileOffset: number; readonly reason: string }
  | { readonly kind: "zeros"; readonly fileOffset: number; readonly byteLength: number };

/** Yields what the file holds, in order. Throws what the file system throws when the file cannot be read. */
export async function* inspectSegment(path: string): AsyncGenerator<SegmentItem, void, undefined> {
  const handle = await open(path, "r");
  try {
    yield* inspect(new FileWindow(handle, (await handle.stat()).size));
  } finally {
    await handle.close();
  }
}

async function* inspect(file: FileWindow): AsyncGenerator<SegmentItem, void, undefined> {
  const decoded = decodePreamble(await file.read(0, PREAMBLE_BYTES));
  const preamble = decoded.kind === "preamble" ? decoded.preamble : null;
  if (preamble !== null) yield { kind: "preamble", fileOffset: 0, preamble };
  else if (decoded.kind === "unsupported") yield { kind: "unsupported", fileOffset: 0, reason: decoded.reason };
  let run: { readonly kind: "damaged" | "zeros"; readonly fileOffset: number; byteLength: number } | null = null;
  let fileOffset = preamble !== null || decoded.kind === "unsupported" ? PREAMBLE_BYTES : 0;
  while (fileOffset < file.byteLength) {
    const item = await inspectBlock(file, fileOffset, preamble);
    if (item.kind === "zeros" || item.kind === "damaged") {
      if (run !== null && run.kind === item.kind) {
        run.byteLength += item.byteLength;
      } else {
        if (run !== null) yield run;
        run = { ...item };
      }
      fileOffset += item.byteLength;
      continue;
    }
    if (run !== null) yield run;
    run = null;
    yield item;
    fileOffset += item.kind === "frame" ? frameBytes(item.header.storedBytes) : BLOCK_BYTES;
  }
  if (run !== null) yield run;
}

async function inspectBlock(file: FileWindow, fileOffset: number, preamble: Preamble | null): Promise<SegmentItem> {
  const block = await file.read(fileOffset, BLOCK_BYTES);
  const decoded = decodeFrameHeader(block.subarray(0, FRAME_HEADER_BYTES));
  if (decoded.kind === "unsupported") return { kind: "unsupported", fileOffset, reason: decoded.reason };
  if (decoded.kind !== "frame") {
    const kind = block.every((byte) => byte === 0) ? "zeros" : "damaged";
    return { kind, fileOffset, byteLength: block.length };
  }
  const { header } = decoded;
  const stored = await file.read(fileOffset + FRAME_HEADER_BYTES, header.storedBytes);
  const body = stored.length < header.storedBytes ? "cut" : isBodyValid(header, stored) ? "valid" : "damaged";
  const isOwn = preamble !== null && isAtItsPlace(header, { ...preamble, fileOffset });
  return { kind: "frame", fileOffset, header, body, isAtItsPlace: isOwn };
}
