/** Small logs that crashed, and what it takes to damage them and to look what became of them. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { StoreError } from "../../../src/errors.js";
import { decodeFrameHeader, frameBytes } from "../../../src/wal/format.js";
import { decodeManifest, type Manifest } from "../../../src/wal/manifest.js";
import { assert, rejects } from "../../support/assert.js";
import { append, copyStore, KIBIBYTE, openLog, readLog, segmentFiles, snapshot } from "./log-fixture.js";

export const BLOCK = 4096;

export const SECTOR = 512;

export const SEGMENT_BYTES = 16 * KIBIBYTE;

export const options = { segmentBytes: SEGMENT_BYTES };

/** One append each, waited for. Resolves with what a crash leaves behind them; the log itself is closed. */
export async function writeAndCrash(directory: string, names: readonly string[]): Promise<string> {
  const { wal } = await openLog(directory, options);
  for (const name of names) await append(wal, [name], "now");
  const crashed = copyStore(directory);
  await wal.close();
  return crashed;
}

/** Opens, reads and closes. */
export async function recover(from: string) {
  const { wal, recovered } = await openLog(from, options);
  const { recovery } = wal;
  assert.equal(await readLog(wal), recovered);
  await wal.close();
  return { records: recovered, recovery };
}

export async function refuses(from: string, code: string): Promise<StoreError> {
  const before = snapshot(from);
  const error = (await rejects(openLog(from, options), code)) as StoreError;
  // The lock's file may be made; nothing that was there may be touched.
  const after = snapshot(from);
  for (const [name, { bytes, mtimeMs }] of before) {
    const now = after.get(name);
    assert.ok(now?.bytes.equals(bytes) === true, `${name} was changed`);
    assert.is(now?.mtimeMs, mtimeMs, `${name} was touched`);
  }
  assert.equal(
    [...after.keys()].filter((name) => !before.has(name) && name !== "lock"),
    [],
  );
  return error;
}

export function flipBit(path: string, bit: number): void {
  const bytes = readFileSync(path);
  bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
  writeFileSync(path, bytes);
}

export function change(path: string, edit: (bytes: Buffer) => void): void {
  const bytes = readFileSync(path);
  edit(bytes);
  writeFileSync(path, bytes);
}

export function newestManifest(from: string): { readonly path: string; readonly manifest: Manifest } {
  const name = readdirSync(from)
    .filter((entry) => /^manifest-\d+$/.test(entry))
    .sort()
    .at(-1) as string;
  const path = join(from, name);
  const decoded = decodeManifest(readFileSync(path));
  if (decoded.kind !== "manifest") throw new Error(`${path} is ${decoded.kind}`);
  return { path, manifest: decoded.manifest };
}

/** The frames of a segment file: where each lies and how long it is. */
export function framesOf(
  path: string,
): { readonly offset: number; readonly byteLength: number; readonly kind: string }[] {
  const bytes = readFileSync(path);
  const frames: { offset: number; byteLength: number; kind: string }[] = [];
  for (let offset = BLOCK; offset < bytes.length; ) {
    const decoded = decodeFrameHeader(bytes.subarray(offset, offset + 192));
    if (decoded.kind !== "frame") break;
    const byteLength = frameBytes(decoded.header.storedBytes);
    frames.push({ offset, byteLength, kind: decoded.header.kind });
    offset += byteLength;
  }
  return frames;
}

export function lastSegmentWithFrames(from: string): string {
  return segmentFiles(from)
    .filter((path) => framesOf(path).length > 0)
    .at(-1) as string;
}
