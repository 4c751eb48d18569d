/** What the tests of encryption share. */

import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { Store } from "../../src/index.js";
import { checksum } from "../../src/wal/checksum.js";
import { decodeFrameHeader, FRAME_HEADER_BYTES, frameBytes, PREAMBLE_BYTES } from "../../src/wal/format.js";

/** A key that a function gives: it is zeroed, so each time a fresh one. */
export function keyOf(byte: number): () => Buffer {
  return () => Buffer.alloc(32, byte);
}

/** Appends one after the other, so that each has a frame. */
export async function appendEach(store: Store, count: number, stream = "accounts"): Promise<void> {
  for (let index = 0; index < count; index++) await store.append(stream, { type: "Hush", data: { index } });
}

export async function eventsOf(store: Pick<Store, "readAll">): Promise<number> {
  let events = 0;
  for await (const _ of store.readAll()) events++;
  return events;
}

export function filesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile())
    .sort();
}

/** Every file with its bytes. */
export function contentOf(directory: string): Map<string, string> {
  return new Map(filesIn(directory).map((path) => [path, readFileSync(path).toString("latin1")]));
}

export function change(path: string, work: (bytes: Buffer) => void): void {
  const bytes = readFileSync(path);
  work(bytes);
  writeFileSync(path, bytes);
}

/** Where frames begin in a segment. */
export function frameOffsets(segment: Buffer): number[] {
  const offsets: number[] = [];
  for (let at = PREAMBLE_BYTES; at < segment.length; ) {
    const decoded = decodeFrameHeader(segment.subarray(at, at + FRAME_HEADER_BYTES));
    if (decoded.kind !== "frame") break;
    offsets.push(at);
    at += frameBytes(decoded.header.storedBytes);
  }
  return offsets;
}

/** Makes the CRCs of a frame hold again, as somebody would who has no key. */
export function mendFrame(segment: Buffer, at: number): void {
  const storedBytes = segment.readUInt32LE(at + 76);
  const body = segment.subarray(at + FRAME_HEADER_BYTES, at + FRAME_HEADER_BYTES + storedBytes);
  segment.writeUInt32LE(crc32(body), at + 128);
  mendHeader(segment, at);
}

export function mendHeader(segment: Buffer, at: number): void {
  segment.writeUInt32LE(checksum(segment, at, at + 188), at + 188);
}

/** The same for a page of a sealed segment. */
export function mendPage(file: Buffer, at: number, seed: number): void {
  file.writeUInt32LE(crc32(file.subarray(at, at + 4092), seed), at + 4092);
}

/** The same for a block of a sealed segment; the index of LSNs has its header's CRC too, and is left as it is. */
export function mendBlock(file: Buffer, at: number): void {
  const stored = file.subarray(at + 64, at + 64 + file.readUInt32LE(at + 44));
  file.writeUInt32LE(crc32(stored), at + 56);
  file.writeUInt32LE(crc32(file.subarray(at, at + 60), crc32(file.subarray(8, 24))), at + 60);
}
