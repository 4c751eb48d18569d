/** Reads every byte of a sealed segment and checks it: CRCs, density, the hash chain, the LSN index against the blocks. */

import { crc32 } from "node:zlib";
import { AlignedBuffer, type BufferPool, checkResult, type DirectFile } from "../../ffi/index.js";
import type { StoreKeys } from "../crypt/store-keys.js";
import { scanBlocks } from "./block-scan.js";
import { ByteStream } from "./byte-stream.js";
import { HashChain } from "./hash-chain.js";
import { LsnPages, takeTimes } from "./lsn-pages.js";
import { checkPage, decryptPage, type PageHeader } from "./page.js";
import { sealedDamage, undecodable } from "./sealed-damage.js";
import { decodeSealedPreamble, PAGE_BYTES, type SealedRun, storeCrcOf } from "./sealed-format.js";
import { decodeTrailer, partsOf, ROOT_ENTRY_BYTES, type SealedTrailer } from "./sealed-trailer.js";
import { cipherOf, type SegmentCipher } from "./segment-cipher.js";

export interface WalkedSegment {
  readonly file: DirectFile;
  readonly pool: BufferPool;
  readonly storeId: Uint8Array;
  readonly number: number;
  /**
   * The hash with which the chain is known to end, for who has just written the segment: then the CRCs tell whether it reads back as it was
   * written, and hashing all of it once more would take a seventh of a checkpoint's time. Absent: it is computed.
   */
  readonly knownHash?: Buffer;
  /** Of a store that is encrypted. */
  readonly keys: StoreKeys | null;
  /** Without keys: of what is encrypted only what lies in clear is checked, and the visitor is not called. */
  readonly isKeyless?: boolean;
}

/** How the parts of a segment are read. */
interface Access {
  readonly cipher: SegmentCipher | null;
  readonly isOpaque: boolean;
}

export interface SegmentVisitor {
  /** `chain`: behind the run, unless its last hash is known. */
  run?(run: SealedRun, trailer: SealedTrailer, chain: HashChain): void;
  /** A valid page of the stream index. */
  streamPage?(page: Buffer, header: PageHeader, trailer: SealedTrailer): void;
  filter?(filter: Buffer, trailer: SealedTrailer): void;
}

const NO_BYTES = Buffer.alloc(0);

/** One page at a known offset of a file, for what is read once; null when the file ends before. A device that fails says nothing of the bytes. */
export async function readPage(file: DirectFile, fileOffset: number): Promise<Buffer | null> {
  const buffer = new AlignedBuffer(PAGE_BYTES);
  try {
    const result = await file.read(buffer, 0, PAGE_BYTES, fileOffset);
    const length = checkResult(result, `reading at ${fileOffset}`, file.path);
    return length === PAGE_BYTES ? Buffer.from(buffer.bytes) : null;
  } finally {
    buffer.unmap();
  }
}

/** The trailer of a segment's file. */
export async function readTrailer(file: DirectFile, storeId: Uint8Array, number: number): Promise<SealedTrailer> {
  const fileBytes = await file.byteLength();
  const place = { path: file.path, offset: Math.max(0, fileBytes - PAGE_BYTES), firstLsn: 0, lastLsn: 0 };
  if (fileBytes < 2 * PAGE_BYTES || fileBytes % PAGE_BYTES !== 0) throw sealedDamage(place, "a file of no whole size");
  const page = await readPage(file, place.offset);
  if (page === null) throw sealedDamage(place, "the trailer cannot be read");
  const decoded = decodeTrailer(page, storeId, fileBytes);
  if (decoded.kind !== "trailer") throw undecodable(place, "trailer", decoded);
  if (decoded.trailer.number !== number) throw sealedDamage(place, `segment ${decoded.trailer.number}`);
  return decoded.trailer;
}

/**
 * Walks the whole file.
 *
 * @throws StoreError `ERR_WAL_CORRUPT` with path, offset and LSNs for the first thing that is wrong, `ERR_WAL_FOREIGN` for a segment of
 *   another store, `ERR_WAL_VERSION` for one of a newer format.
 */
export async function walkSegment(segment: WalkedSegment, visitor: SegmentVisitor = {}): Promise<SealedTrailer> {
  const trailer = await readTrailer(segment.file, segment.storeId, segment.number);
  const isOpaque = segment.isKeyless === true && trailer.secret !== null;
  const isKeyless = segment.isKeyless === true;
  const cipher = isKeyless ? null : trailerCipher(segment.keys, trailer, segment.file.path);
  await checkPreamble(segment, trailer);
  const lsnPages = await walkBlocks(segment, trailer, visitor, { cipher, isOpaque });
  await walkPages(segment, trailer, lsnPages, visitor, { cipher, isOpaque });
  return trailer;
}

/** How the segment with that trailer is decrypted; null: it is not encrypted. */
export function trailerCipher(keys: StoreKeys | null, trailer: SealedTrailer, path: string): SegmentCipher | null {
  const { fileBytes, firstLsn, lastLsn } = trailer;
  return cipherOf(keys, trailer, { path, offset: fileBytes - PAGE_BYTES, firstLsn, lastLsn });
}

async function checkPreamble(segment: WalkedSegment, trailer: SealedTrailer): Promise<void> {
  const place = { path: segment.file.path, offset: 0, firstLsn: trailer.firstLsn, lastLsn: trailer.lastLsn };
  const page = await readPage(segment.file, 0);
  if (page === null) throw sealedDamage(place, "the preamble cannot be read");
  const decoded = decodeSealedPreamble(page, segment.storeId);
  if (decoded.kind !== "preamble") throw undecodable(place, "preamble", decoded);
  const { number, firstLsn, hashBefore } = decoded.preamble;
  if (number !== trailer.number || firstLsn !== trailer.firstLsn || !hashBefore.equals(trailer.hashBefore)) {
    throw sealedDamage(place, "preamble and trailer disagree");
  }
}

async function walkBlocks(
  segment: WalkedSegment,
  trailer: SealedTrailer,
  visitor: SegmentVisitor,
  access: Access,
): Promise<LsnPages> {
  const { path } = segment.file;
  const { knownHash } = segment;
  const chain = new HashChain(trailer.hashBefore, segment.keys);
  const lsnPages = new LsnPages();
  const found = { lastLsn: trailer.firstLsn - 1, runCount: 0, plainBytes: 0 };
  const { number } = trailer;
  const scanned = { path, number, storeCrc: storeCrcOf(segment.storeId), lastLsn: trailer.lastLsn, ...access };
  const range = { from: PAGE_BYTES, end: trailer.blocksEnd, firstLsn: trailer.firstLsn, isKept: false };
  const stream = new ByteStream(segment.file, segment.pool, range.from, range.end);
  for await (const { block, ...place } of scanBlocks(stream, scanned, range)) {
    const { firstLsn, lastLsn, runs } = block;
    const recordedAt = runs[0]?.header.recordedAt ?? 0;
    lsnPages.add({ ...place, firstLsn, recordedAt });
    for (const run of runs) {
      if (knownHash === undefined) chain.add(run);
      visitor.run?.(run, trailer, chain);
    }
    found.lastLsn = lastLsn;
    found.runCount += place.runCount;
    found.plainBytes += place.plainBytes;
  }
  const { lastLsn, firstLsn } = trailer;
  const place = { path, offset: trailer.blocksEnd, firstLsn, lastLsn };
  if (!access.isOpaque && (chain.isOpen || !(knownHash ?? chain.value).equals(trailer.hash)))
    throw sealedDamage(place, "the hash chain does not end as it should");
  const isAsCounted =
    found.lastLsn === lastLsn &&
    found.runCount === trailer.runCount &&
    found.plainBytes === trailer.plainBytes &&
    lsnPages.blockCount === trailer.blockCount;
  if (!isAsCounted) throw sealedDamage(place, "blocks and trailer disagree");
  return lsnPages;
}

async function walkPages(
  segment: WalkedSegment,
  trailer: SealedTrailer,
  lsnPages: LsnPages,
  visitor: SegmentVisitor,
  { cipher, isOpaque }: Access,
): Promise<void> {
  const parts = partsOf(trailer);
  const storeCrc = storeCrcOf(segment.storeId);
  const place = { path: segment.file.path, firstLsn: trailer.firstLsn, lastLsn: trailer.lastLsn };
  const stream = new ByteStream(segment.file, segment.pool, parts.lsnPages, parts.trailer);
  const page = Buffer.alloc(PAGE_BYTES);
  const fill = async (target: Buffer, offset: number): Promise<void> => {
    if (!(await stream.fill(target))) throw sealedDamage({ ...place, offset }, "the file ends");
  };
  try {
    let offset = parts.lsnPages;
    for (const expected of lsnPages.pages(trailer.number, storeCrc)) {
      await fill(page, offset);
      if (isOpaque) takeTimes(expected, page, storeCrc); // they stand in the blocks' runs, which nobody can read
      if (!page.equals(expected))
        throw sealedDamage({ ...place, offset }, "an LSN page that does not match the blocks");
      offset += PAGE_BYTES;
    }
    for (let index = 0; index < trailer.streamPageCount; index++) {
      await fill(page, offset);
      const header =
        checkPage(page, "names", index, trailer.number, storeCrc) ??
        checkPage(page, "postings", index, trailer.number, storeCrc);
      if (header === null) throw sealedDamage({ ...place, offset }, "no page of the stream index");
      if (cipher !== null) decryptPage(page, header, cipher, { ...place, offset });
      if (!isOpaque) visitor.streamPage?.(page, header, trailer);
      offset += PAGE_BYTES;
    }
    const filter = Buffer.alloc(parts.root - parts.filter);
    await fill(filter, parts.filter);
    if (crc32(filter.subarray(0, trailer.filterBytes)) !== trailer.filterCrc) {
      throw sealedDamage({ ...place, offset: parts.filter }, "the name filter does not hold its CRC");
    }
    const stored = filter.subarray(0, trailer.filterBytes);
    if (!isOpaque) visitor.filter?.(plainFilter(stored, trailer, cipher, segment.file.path), trailer);
    const root = Buffer.alloc(parts.trailer - parts.root);
    await fill(root, parts.root);
    const isRoot = crc32(root.subarray(0, trailer.lsnPageCount * ROOT_ENTRY_BYTES)) === trailer.rootCrc;
    const matches = isOpaque || root.subarray(0, trailer.lsnPageCount * ROOT_ENTRY_BYTES).equals(lsnPages.root());
    if (!isRoot || !matches) {
      throw sealedDamage({ ...place, offset: parts.root }, "the LSN root does not match the blocks");
    }
  } finally {
    await stream.close();
  }
}

/** The name filter of a segment. */
export function plainFilter(
  stored: Buffer,
  trailer: SealedTrailer,
  cipher: SegmentCipher | null,
  path: string,
): Buffer {
  const { secret, firstLsn, lastLsn } = trailer;
  if (cipher === null || secret === null) return stored;
  return cipher.decrypt(
    { path, offset: partsOf(trailer).filter, firstLsn, lastLsn },
    NO_BYTES,
    stored,
    secret.filterTag,
  );
}
