/** Reads the blocks of a segment in order, with several large reads in flight, checking each. */

import type { ByteStream } from "./byte-stream.js";
import { checkBlockHeader, decodeBlock, opaqueBlock, type SealedBlock } from "./sealed-block.js";
import { sealedDamage } from "./sealed-damage.js";
import { BLOCK_HEADER_BYTES, blockHeaderCrc } from "./sealed-format.js";
import type { SegmentCipher } from "./segment-cipher.js";

export interface ScannedSegment {
  readonly path: string;
  readonly number: number;
  readonly storeCrc: number;
  readonly lastLsn: number;
  readonly cipher: SegmentCipher | null;
  /** It is encrypted, and only looked at from outside: its blocks have no runs. */
  readonly isOpaque?: boolean;
}

export interface ScannedBlock {
  readonly block: SealedBlock;
  readonly fileOffset: number;
  readonly headerCrc: number;
  readonly storedBytes: number;
  readonly plainBytes: number;
  readonly runCount: number;
}

export interface ScannedRange {
  readonly from: number;
  readonly end: number;
  /** Of the first block. */
  readonly firstLsn: number;
  /** Whether blocks are used after the next one was asked for. */
  readonly isKept: boolean;
}

/** The blocks of a range, of which `stream` has the bytes; it is closed in the end. */
export async function* scanBlocks(
  stream: ByteStream,
  segment: ScannedSegment,
  range: ScannedRange,
): AsyncGenerator<ScannedBlock, void, undefined> {
  const head = Buffer.alloc(BLOCK_HEADER_BYTES);
  let nextLsn = range.firstLsn;
  try {
    for (let offset = range.from; offset < range.end; ) {
      const place = { ...segment, offset, firstLsn: nextLsn, bytesLeft: range.end - offset };
      if (!(await stream.fill(head))) throw sealedDamage(place, "the file ends");
      const header = checkBlockHeader(head, place);
      if (header.firstLsn !== nextLsn) throw sealedDamage(place, `a block that begins with LSN ${header.firstLsn}`);
      const stored = range.isKept ? await stream.read(header.storedBytes) : await stream.view(header.storedBytes);
      if (stored === null) throw sealedDamage(place, "the file ends");
      const block = segment.isOpaque === true ? opaqueBlock(header, stored, place) : decodeBlock(header, stored, place);
      const { storedBytes, plainBytes, runCount } = header;
      yield { block, fileOffset: offset, headerCrc: blockHeaderCrc(head), storedBytes, plainBytes, runCount };
      nextLsn = header.lastLsn + 1;
      offset += BLOCK_HEADER_BYTES + storedBytes;
    }
  } finally {
    await stream.close();
  }
}
