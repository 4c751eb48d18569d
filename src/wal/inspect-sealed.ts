/**
 * Shows what a sealed segment's file holds, part by part, whether it is whole or not.
 *
 * As inspect-segment.ts for the cores' files: it believes nothing but checksums, needs no manifest and no lock, and only reads. Where a block's
 * header is damaged the LSN pages say where the next one is; where those are lost too, it goes on with the next part that can be found.
 */

import { open } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { FileWindow } from "./file-window.js";
import { STORE_ID_BYTES } from "./format.js";
import { LSN_ENTRIES_PER_PAGE, locationAt } from "./sealed/lsn-pages.js";
import { checkPage, type PageHeader } from "./sealed/page.js";
import { decodeBlock, opaqueBlock } from "./sealed/sealed-block.js";
import {
  BLOCK_HEADER_BYTES,
  type BlockHeader,
  decodeBlockHeader,
  decodeSealedPreamble,
  PAGE_BYTES,
  type RunKind,
  type SealedPreamble,
  type SealedRun,
  storeCrcOf,
} from "./sealed/sealed-format.js";
import { decodeTrailer, partsOf, ROOT_ENTRY_BYTES, type SealedTrailer } from "./sealed/sealed-trailer.js";

/** A run as it is shown: its records are `byteLength` bytes. */
export interface ShownRun {
  readonly kind: RunKind;
  readonly firstLsn: number;
  readonly recordCount: number;
  readonly recordedAt: number;
  readonly byteLength: number;
  /** The leaf that its frame had before records of it were removed, in hexadecimal; else null. */
  readonly leaf: string | null;
  /** Whether the next run is of the same frame. */
  readonly goesOn: boolean;
}

/** What lies at an offset of a sealed segment's file. */
export type SealedItem =
  | { readonly kind: "sealed-preamble"; readonly fileOffset: number; readonly preamble: SealedPreamble }
  | {
      readonly kind: "block";
      readonly fileOffset: number;
      readonly header: BlockHeader;
      /** Null for a whole one. */
      readonly damage: string | null;
      /** None of one that is encrypted. */
      readonly runs: readonly ShownRun[];
    }
  | { readonly kind: "page"; readonly fileOffset: number; readonly header: PageHeader }
  | { readonly kind: "name-filter"; readonly fileOffset: number; readonly byteLength: number }
  | { readonly kind: "lsn-root"; readonly fileOffset: number; readonly byteLength: number }
  | { readonly kind: "trailer"; readonly fileOffset: number; readonly trailer: SealedTrailer }
  | {
      readonly kind: "damaged";
      readonly fileOffset: number;
      readonly byteLength: number;
      /** What should be there. */
      readonly part: string;
    }
  | { readonly kind: "unsupported"; readonly fileOffset: number; readonly reason: string };

/** What is known of the file before its blocks are looked at. */
interface Known {
  readonly file: FileWindow;
  readonly path: string;
  readonly storeId: Uint8Array;
  readonly storeCrc: number;
  readonly number: number;
  readonly trailer: SealedTrailer | null;
}

/** Yields what the file holds, in order. Throws what the file system throws when the file cannot be read. */
export async function* inspectSealed(path: string): AsyncGenerator<SealedItem, void, undefined> {
  const handle = await open(path, "r");
  try {
    yield* inspect(path, new FileWindow(handle, (await handle.stat()).size));
  } finally {
    await handle.close();
  }
}

async function* inspect(path: string, file: FileWindow): AsyncGenerator<SealedItem, void, undefined> {
  const first = Buffer.from(await file.read(0, PAGE_BYTES));
  const lastOffset = Math.max(0, file.byteLength - PAGE_BYTES);
  const last = Buffer.from(await file.read(lastOffset, PAGE_BYTES));
  const idAt = (page: Buffer): Buffer => page.subarray(8, 8 + STORE_ID_BYTES);
  const preamble = decodeSealedPreamble(first, idAt(first));
  const trailer = decodeTrailer(last, idAt(last), file.byteLength);
  if (preamble.kind === "preamble") {
    yield { kind: "sealed-preamble", fileOffset: 0, preamble: preamble.preamble };
  } else if (preamble.kind === "unsupported") {
    yield { kind: "unsupported", fileOffset: 0, reason: preamble.reason };
  } else yield { kind: "damaged", fileOffset: 0, byteLength: first.length, part: "preamble" };
  const identity =
    preamble.kind === "preamble" ? preamble.preamble : trailer.kind === "trailer" ? trailer.trailer : null;
  const knownTrailer = trailer.kind === "trailer" ? trailer.trailer : null;
  if (identity !== null) {
    const { storeId, number } = identity;
    const known = { file, path, storeId, storeCrc: storeCrcOf(storeId), number, trailer: knownTrailer };
    yield* blocks(known);
    yield* indexes(known);
  }
  if (lastOffset < PAGE_BYTES) yield { kind: "damaged", fileOffset: 0, byteLength: file.byteLength, part: "segment" };
  else if (knownTrailer !== null) yield { kind: "trailer", fileOffset: lastOffset, trailer: knownTrailer };
  else yield { kind: "damaged", fileOffset: lastOffset, byteLength: last.length, part: "trailer" };
}

async function* blocks(known: Known): AsyncGenerator<SealedItem, void, undefined> {
  const { file, path, storeCrc, number, trailer } = known;
  const end = trailer?.blocksEnd ?? file.byteLength;
  for (let offset = PAGE_BYTES; offset < end; ) {
    const decoded = decodeBlockHeader(await file.read(offset, BLOCK_HEADER_BYTES), storeCrc);
    if (decoded.kind !== "block") {
      // Without a trailer nobody knows where the blocks end: what comes behind them is no damage of theirs.
      if (trailer === null && decoded.kind === "damaged") return;
      const next = (await nextBlockAfter(known, offset)) ?? end;
      if (decoded.kind === "unsupported") yield { kind: "unsupported", fileOffset: offset, reason: decoded.reason };
      else yield { kind: "damaged", fileOffset: offset, byteLength: next - offset, part: "block" };
      offset = next;
      continue;
    }
    const { header } = decoded;
    const { firstLsn, lastLsn, storedBytes } = header;
    const stored = Buffer.from(await file.read(offset + BLOCK_HEADER_BYTES, storedBytes));
    const place = { path, offset, firstLsn, lastLsn, number, storeCrc, cipher: null, bytesLeft: end - offset };
    let damage = header.fileOffset === offset && header.number === number ? null : "a block of another place";
    let runs: readonly ShownRun[] = [];
    try {
      const block =
        header.sealed === undefined ? decodeBlock(header, stored, place) : opaqueBlock(header, stored, place);
      runs = block.runs.map(shownRun);
    } catch (error) {
      damage ??= (error as Error).message;
    }
    yield { kind: "block", fileOffset: offset, header, damage, runs };
    offset += BLOCK_HEADER_BYTES + storedBytes;
  }
}

function shownRun({ kind, header, body, leaf, goesOn }: SealedRun): ShownRun {
  return { kind, ...header, byteLength: body.length, leaf: leaf?.toString("hex") ?? null, goesOn };
}

/** Where the LSN pages say that the next block begins. */
async function nextBlockAfter({ file, storeCrc, trailer, number }: Known, offset: number): Promise<number | null> {
  if (trailer === null) return null;
  const { lsnPages } = partsOf(trailer);
  for (let page = 0; page < trailer.lsnPageCount; page++) {
    const bytes = await file.read(lsnPages + page * PAGE_BYTES, PAGE_BYTES);
    const header = checkPage(bytes, "lsns", page, number, storeCrc);
    const count = Math.min(header?.entryCount ?? 0, LSN_ENTRIES_PER_PAGE);
    for (let index = 0; index < count; index++) {
      const { fileOffset } = locationAt(bytes, index);
      if (fileOffset > offset) return fileOffset;
    }
  }
  return null;
}

async function* indexes({ file, storeCrc, number, trailer }: Known): AsyncGenerator<SealedItem, void, undefined> {
  if (trailer === null) return; // it says where they are
  const parts = partsOf(trailer);
  for (let fileOffset = parts.lsnPages; fileOffset < parts.filter; fileOffset += PAGE_BYTES) {
    const page = await file.read(fileOffset, PAGE_BYTES);
    const isLsnPage = fileOffset < parts.streamPages;
    const index = (fileOffset - (isLsnPage ? parts.lsnPages : parts.streamPages)) / PAGE_BYTES;
    const header = isLsnPage
      ? checkPage(page, "lsns", index, number, storeCrc)
      : (checkPage(page, "names", index, number, storeCrc) ?? checkPage(page, "postings", index, number, storeCrc));
    if (header !== null) yield { kind: "page", fileOffset, header };
    else yield { kind: "damaged", fileOffset, byteLength: PAGE_BYTES, part: isLsnPage ? "LSN page" : "stream page" };
  }
  const filter = await file.read(parts.filter, trailer.filterBytes);
  const byteLength = filter.length;
  if (crc32(filter) === trailer.filterCrc) yield { kind: "name-filter", fileOffset: parts.filter, byteLength };
  else yield { kind: "damaged", fileOffset: parts.filter, byteLength, part: "name filter" };
  const root = await file.read(parts.root, trailer.lsnPageCount * ROOT_ENTRY_BYTES);
  const isRoot = crc32(root) === trailer.rootCrc;
  if (isRoot) yield { kind: "lsn-root", fileOffset: parts.root, byteLength: root.length };
  else yield { kind: "damaged", fileOffset: parts.root, byteLength: root.length, part: "LSN root" };
}
