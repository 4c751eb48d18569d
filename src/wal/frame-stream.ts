/** Reads the frames of one segment in order, checking each, and says how the run of valid frames ended. */

import type { BufferPool, DirectFile } from "../ffi/index.js";
import { BLOCK_BYTES } from "../ffi/index.js";
import {
  decodeFrameHeader,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  type FramePlace,
  frameBytes,
  isAtItsPlace,
  isBodyValid,
  sameStore,
} from "./format.js";
import { type Chunk, ReadAhead } from "./read-ahead.js";

/** A valid frame. The body is the stream's own copy and stays valid. */
export interface Frame {
  readonly header: FrameHeader;
  readonly body: Buffer;
}

export type FrameStep =
  | { readonly kind: "frame"; readonly frame: Frame }
  /** Zeros or the end of the file. */
  | { readonly kind: "end"; readonly fileOffset: number }
  | { readonly kind: "damaged"; readonly fileOffset: number; readonly foreign: boolean }
  | { readonly kind: "unsupported"; readonly fileOffset: number; readonly reason: string };

/** Bodies above this size get memory of their own; smaller ones share a slab. */
const SLAB_BODY_BYTES_MAX = 2048;

export class FrameStream {
  readonly #reads: ReadAhead;
  readonly #place: Omit<FramePlace, "fileOffset">;
  readonly #end: number;
  #chunk: Chunk | null = null;
  /** Within the chunk; always a block boundary. */
  #position = 0;
  #fileOffset: number;

  /** Reads from `from`, a block boundary, up to `end`; the first read is a small one where little may be wanted. */
  constructor(
    file: DirectFile,
    pool: BufferPool,
    place: Omit<FramePlace, "fileOffset">,
    from: number,
    end: number,
    startsSmall = false,
  ) {
    this.#reads = new ReadAhead(file, pool, from, end, startsSmall);
    this.#place = place;
    this.#fileOffset = from;
    this.#end = end;
  }

  /** The next frame without waiting when its bytes are here already, else a promise of it. */
  next(): FrameStep | Promise<FrameStep> {
    const chunk = this.#chunk;
    if (chunk === null || this.#position >= chunk.bytes.length) return this.#nextFromChunk();
    return this.#step(chunk);
  }

  async #nextFromChunk(): Promise<FrameStep> {
    this.#chunk = await this.#reads.next();
    this.#position = 0;
    if (this.#chunk === null) return { kind: "end", fileOffset: this.#fileOffset };
    return this.#step(this.#chunk);
  }

  #step(chunk: Chunk): FrameStep | Promise<FrameStep> {
    const fileOffset = this.#fileOffset;
    const damaged: FrameStep = { kind: "damaged", fileOffset, foreign: false };
    const decoded = decodeFrameHeader(chunk.bytes.subarray(this.#position, this.#position + FRAME_HEADER_BYTES));
    if (decoded.kind === "zero") return { kind: "end", fileOffset };
    if (decoded.kind === "unsupported") return { kind: "unsupported", fileOffset, reason: decoded.reason };
    if (decoded.kind === "damaged") return damaged;
    const { header } = decoded;
    if (!isAtItsPlace(header, { ...this.#place, fileOffset })) {
      return { kind: "damaged", fileOffset, foreign: !sameStore(header.storeId, this.#place.storeId) };
    }
    const byteLength = frameBytes(header.storedBytes);
    // Before anything is allocated: a length that the file cannot hold is damage.
    if (fileOffset + byteLength > this.#end) return damaged;

    const body =
      header.storedBytes <= SLAB_BODY_BYTES_MAX
        ? Buffer.allocUnsafe(header.storedBytes)
        : Buffer.allocUnsafeSlow(header.storedBytes);
    const here = chunk.bytes.length - this.#position;
    if (byteLength > here) return this.#stepAcross(header, body, byteLength);
    chunk.bytes.copy(body, 0, this.#position + FRAME_HEADER_BYTES, this.#position + FRAME_HEADER_BYTES + body.length);
    this.#position += byteLength;
    return this.#finish(header, body, byteLength);
  }

  /** A frame that goes on in the following chunks. */
  async #stepAcross(header: FrameHeader, body: Buffer, byteLength: number): Promise<FrameStep> {
    let copied = 0;
    let missing = byteLength;
    let from = this.#position + FRAME_HEADER_BYTES;
    for (;;) {
      const chunk = this.#chunk;
      if (chunk === null) return { kind: "damaged", fileOffset: this.#fileOffset, foreign: false };
      copied += chunk.bytes.copy(body, copied, from, from + body.length - copied);
      const taken = Math.min(missing, chunk.bytes.length - this.#position);
      missing -= taken;
      this.#position += taken;
      if (missing === 0) return this.#finish(header, body, byteLength);
      this.#chunk = await this.#reads.next();
      this.#position = 0;
      from = 0;
    }
  }

  #finish(header: FrameHeader, body: Buffer, byteLength: number): FrameStep {
    const fileOffset = this.#fileOffset;
    if (!isBodyValid(header, body)) return { kind: "damaged", fileOffset, foreign: false };
    this.#fileOffset += byteLength;
    return { kind: "frame", frame: { header, body } };
  }

  /** Where the next frame begins: the end of the last one. */
  get fileOffset(): number {
    return this.#fileOffset;
  }

  close(): Promise<void> {
    return this.#reads.close();
  }
}

export interface FoundHeaders {
  /** The first block that is not all zeros. */
  readonly nonZeroAt: number | null;
  /** The first header that a newer version wrote. */
  readonly unsupported: { readonly fileOffset: number; readonly reason: string } | null;
}

const ZERO_BLOCK = Buffer.alloc(BLOCK_BYTES);

/**
 * Looks at every block of a range for headers that belong there, whatever their bodies hold: after the end of the valid frames
 * they tell of frames that were lost, and what those attest.
 */
export async function findHeaders(
  file: DirectFile,
  pool: BufferPool,
  place: Omit<FramePlace, "fileOffset">,
  from: number,
  end: number,
  onHeader: (header: FrameHeader) => void,
): Promise<FoundHeaders> {
  const reads = new ReadAhead(file, pool, from, end);
  let nonZeroAt: number | null = null;
  let unsupported: FoundHeaders["unsupported"] = null;
  /** The body of a frame can hold anything, also what looks like a header. */
  let bodyEnd = from;
  try {
    for (let chunk = await reads.next(); chunk !== null; chunk = await reads.next()) {
      for (let at = 0; at < chunk.bytes.length; at += BLOCK_BYTES) {
        const fileOffset = chunk.fileOffset + at;
        const block = chunk.bytes.subarray(at, at + BLOCK_BYTES);
        if (block.equals(ZERO_BLOCK.subarray(0, block.length))) continue;
        nonZeroAt ??= fileOffset;
        if (fileOffset < bodyEnd) continue;
        const decoded = decodeFrameHeader(block.subarray(0, FRAME_HEADER_BYTES));
        if (decoded.kind === "unsupported") unsupported ??= { fileOffset, reason: decoded.reason };
        if (decoded.kind !== "frame" || !isAtItsPlace(decoded.header, { ...place, fileOffset })) continue;
        bodyEnd = fileOffset + frameBytes(decoded.header.storedBytes);
        onHeader(decoded.header);
      }
    }
  } finally {
    await reads.close();
  }
  return { nonZeroAt, unsupported };
}
