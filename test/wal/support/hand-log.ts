/**
 * A log of many cores, written by hand: frames go wherever the test says, and the manifest says what the test says.
 *
 * The record with LSN n holds `recordOf(n)`, so that what comes back tells which it is.
 */

import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { checksum } from "../../../src/wal/checksum.js";
import type { CoreTail } from "../../../src/wal/core-cursor.js";
import {
  encodeFrameHeader,
  encodePreamble,
  FRAME_HEADER_BYTES,
  type FrameKind,
  frameBytes,
  PREAMBLE_BYTES,
  RECORD_HEADER_BYTES,
} from "../../../src/wal/format.js";
import type { LsnRange } from "../../../src/wal/lsn-ranges.js";
import { encodeManifest, type Incarnation, type Manifest } from "../../../src/wal/manifest.js";
import { sealLog } from "../../../src/wal/seal-log.js";
import type { SealedEntry } from "../../../src/wal/sealed/sealed-entry.js";
import { coreDirectory, segmentPath } from "../../../src/wal/segment-name.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";
import { keyOf } from "./log-fixture.js";

export const BLOCK = 4096;
export const STORE_ID: Buffer = Buffer.from("00112233445566778899aabbccddeeff", "hex");

export function recordOf(lsn: number): string {
  return `r${lsn}${".".repeat((lsn * 37) % 90)}`;
}

/** What a log up to that LSN holds, but for the voids. */
export function recordsThrough(lastLsn: number, voids: readonly LsnRange[] = []): string[] {
  const records: string[] = [];
  for (let lsn = 1; lsn <= lastLsn; lsn++)
    if (!voids.some(([from, through]) => lsn >= from && lsn <= through)) records.push(recordOf(lsn));
  return records;
}

/** A frame that was written, and where. */
export interface HandFrame {
  readonly kind: FrameKind;
  readonly core: number;
  readonly generation: number;
  readonly incarnation: number;
  readonly segment: number;
  readonly path: string;
  readonly fileOffset: number;
  readonly byteLength: number;
  readonly firstLsn: number;
  readonly lastLsn: number;
  readonly durableLsn: number;
}

export interface FrameOptions {
  readonly durableLsn?: number;
  readonly recordedAt?: number;
  /** Takes its place in the chain and in the file, but is not written: a lost write. */
  readonly isLost?: boolean;
}

/** One writer: a core in one generation of one incarnation. */
export class HandWriter {
  readonly core: number;
  readonly generation: number;
  readonly #log: HandLog;
  readonly #incarnation: number;
  readonly #segmentBytes: number;
  #segment: number;
  #offset = 0;
  #chainCrc = 0;

  constructor(log: HandLog, core: number, generation: number, segment: number, segmentBytes: number) {
    this.#log = log;
    this.core = core;
    this.generation = generation;
    this.#incarnation = log.incarnation;
    this.#segment = segment;
    this.#segmentBytes = segmentBytes;
  }

  get path(): string {
    return segmentPath(coreDirectory(this.#log.directory, this.core), this.#segment);
  }

  get tail(): CoreTail {
    return { core: this.core, segment: this.#segment, endOffset: Math.max(this.#offset, PREAMBLE_BYTES) };
  }

  get segment(): number {
    return this.#segment;
  }

  /** Makes the current segment's file, as a writer does before it uses it. */
  prepare(firstPossibleLsn: number, segment: number = this.#segment): void {
    const path = segmentPath(coreDirectory(this.#log.directory, this.core), segment);
    mkdirSync(coreDirectory(this.#log.directory, this.core), { recursive: true });
    const preamble = Buffer.alloc(PREAMBLE_BYTES);
    encodePreamble(preamble, {
      core: this.core,
      storeId: STORE_ID,
      incarnation: this.#incarnation,
      segment,
      firstPossibleLsn,
      generation: this.generation,
      segmentBytes: this.#segmentBytes,
      salt: new Uint8Array(32),
    });
    writeFileSync(path, preamble);
    truncateSync(path, this.#segmentBytes);
    if (segment === this.#segment) this.#offset = PREAMBLE_BYTES;
  }

  /** Ends the segment: what follows goes into the next one. */
  nextSegment(): void {
    this.#segment++;
    this.#offset = 0;
  }

  data(firstLsn: number, count: number, options: FrameOptions = {}): HandFrame {
    const parts: Buffer[] = [];
    let crc = 0;
    for (let lsn = firstLsn; lsn < firstLsn + count; lsn++) {
      const record = Buffer.from(recordOf(lsn));
      const header = Buffer.alloc(RECORD_HEADER_BYTES);
      crc = checksum(record, 0, record.length, crc);
      header.writeUInt32LE(record.length, 0);
      header.writeUInt32LE(crc, 4);
      parts.push(header, record);
    }
    return this.#frame("DATA", firstLsn, count, Buffer.concat(parts), crc, options);
  }

  /** An ATTEST or SEAL frame. A sealed segment loses its zeros. */
  control(kind: "ATTEST" | "SEAL", firstLsn: number, durableLsn: number): HandFrame {
    const frame = this.#frame(kind, firstLsn, 0, Buffer.alloc(0), 0, { durableLsn });
    if (kind === "SEAL") truncateSync(frame.path, this.#offset);
    return frame;
  }

  #frame(
    kind: FrameKind,
    firstLsn: number,
    recordCount: number,
    body: Buffer,
    bodyCrc: number,
    { durableLsn = 0, recordedAt = 1_000_000 + firstLsn, isLost = false }: FrameOptions,
  ): HandFrame {
    const byteLength = frameBytes(body.length);
    if (this.#offset > 0 && this.#offset + byteLength > this.#segmentBytes) this.nextSegment();
    if (this.#offset === 0) this.prepare(firstLsn);
    const bytes = Buffer.alloc(byteLength);
    const fileOffset = this.#offset;
    this.#chainCrc = encodeFrameHeader(bytes, {
      kind,
      core: this.core,
      storeId: STORE_ID,
      incarnation: this.#incarnation,
      segment: this.#segment,
      fileOffset,
      generation: this.generation,
      firstLsn,
      recordCount,
      storedBytes: body.length,
      previousCrc: this.#chainCrc,
      recordedAt,
      durableLsn,
      bodyCrc,
    });
    body.copy(bytes, FRAME_HEADER_BYTES);
    if (!isLost) writeAt(this.path, fileOffset, bytes);
    this.#offset += byteLength;
    const { core, generation, path } = this;
    const place = { core, generation, incarnation: this.#incarnation, segment: this.#segment, path, fileOffset };
    return { kind, ...place, byteLength, firstLsn, lastLsn: firstLsn + recordCount - 1, durableLsn };
  }
}

export class HandLog {
  readonly directory: string;
  readonly #incarnations: { -readonly [Key in keyof Incarnation]: Incarnation[Key] }[] = [];
  readonly #nextSegments: number[] = [];
  readonly #generations: number[] = [];
  readonly #segmentBytes: number;
  checkpointLsn = 0;
  #sealed: readonly SealedEntry[] = [];
  #sequence = 0;

  constructor(segmentBytes: number = 16 * BLOCK) {
    this.directory = join(temporaryDirectory(), "store");
    this.#segmentBytes = segmentBytes;
    mkdirSync(join(this.directory, "wal"), { recursive: true });
    writeFileSync(join(this.directory, "lock"), "");
  }

  get incarnation(): number {
    return this.#incarnations.at(-1)?.incarnation ?? 0;
  }

  get voids(): LsnRange[] {
    return this.#incarnations.flatMap(({ voids }) => voids);
  }

  get manifest(): Manifest {
    return {
      sequence: this.#sequence,
      storeId: STORE_ID.toString("hex"),
      createdAt: 1,
      checkpointLsn: this.checkpointLsn,
      horizonLsn: 0,
      sealed: this.#sealed,
      incarnations: structuredClone(this.#incarnations),
    };
  }

  /** Ends the incarnation before, if there is one, and begins the next. */
  begin(firstLsn: number, lastLsnBefore: number = firstLsn - 1): void {
    const before = this.#incarnations.at(-1);
    if (before !== undefined) before.lastLsn = lastLsnBefore;
    const firstSegments = [...this.#nextSegments].map((next = 1) => next);
    const incarnation = (before?.incarnation ?? 0) + 1;
    this.#incarnations.push({ incarnation, firstLsn, lastLsn: null, firstSegments, voids: [] });
    this.writeManifest();
  }

  /** A writer that attaches: its segments are behind those of the core so far, and of those written meanwhile. */
  writer(core: number, after: HandWriter | null = null): HandWriter {
    const segment = Math.max(this.#nextSegments[core] ?? 1, (after?.segment ?? 0) + 1);
    this.#generations[core] = (this.#generations[core] ?? 0) + 1;
    return new HandWriter(this, core, this.#generations[core] ?? 1, segment, this.#segmentBytes);
  }

  /** Before the next incarnation begins: its segments are behind these. */
  left(writer: HandWriter): void {
    this.#nextSegments[writer.core] = Math.max(this.#nextSegments[writer.core] ?? 1, writer.segment + 1);
  }

  void(from: number, through: number): void {
    const newest = this.#incarnations.at(-1);
    if (newest !== undefined) newest.voids = [...newest.voids, [from, through] as const].sort((a, b) => a[0] - b[0]);
  }

  end(lastLsn: number): void {
    const newest = this.#incarnations.at(-1);
    if (newest !== undefined) newest.lastLsn = lastLsn;
  }

  /** Writes what lies at or below the LSN into a sealed segment, which the next manifest lists. */
  async seal(through: number): Promise<void> {
    mkdirSync(join(this.directory, "log"));
    const words = new BigInt64Array(3);
    const task = {
      io: "auto",
      through,
      tails: [],
      sealedRecordedAt: 0,
      segments: [],
      removal: null,
      compression: "none",
    } as const;
    const { directory, manifest } = this;
    this.#sealed = await sealLog({ ...task, work: "merge", directory, manifest }, keyOf, words);
    this.checkpointLsn = through;
  }

  writeManifest(): void {
    this.#sequence++;
    const name = `manifest-${String(this.#sequence).padStart(10, "0")}`;
    writeFileSync(join(this.directory, name), encodeManifest(this.manifest));
  }
}

function writeAt(path: string, fileOffset: number, bytes: Buffer): void {
  const fd = openSync(path, "r+");
  try {
    writeSync(fd, bytes, 0, bytes.length, fileOffset);
  } finally {
    closeSync(fd);
  }
}

/** As a write that never reached the device. */
export function lose({ path, fileOffset, byteLength }: HandFrame): void {
  writeAt(path, fileOffset, Buffer.alloc(byteLength));
}

/** One byte of the frame is another: of its body, or of its header. */
export function damage({ path, fileOffset }: HandFrame, at: "body" | "header" = "body"): void {
  const offset = fileOffset + (at === "body" ? FRAME_HEADER_BYTES + RECORD_HEADER_BYTES : 70);
  const bytes = readFileSync(path).subarray(offset, offset + 1);
  writeAt(path, offset, Buffer.of((bytes[0] as number) ^ 1));
}

export function byteLengthOf(path: string): number {
  return statSync(path).size;
}
