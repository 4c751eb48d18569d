/**
 * Removing files of the cores' log whose records are all sealed. Nothing else of a store is ever removed but what no manifest lists.
 *
 * A file may go when its incarnation has ended at or below the checkpoint, or when a later file of its core begins with a record at or
 * below it: a core's LSNs rise. So the newest file of a core stays, and no number of an incarnation is used twice.
 */

import { stat, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { AlignedBuffer, BLOCK_BYTES, type BlockIo, checkResult, DirectFile, syncDirectory } from "../ffi/index.js";
import { decodeFrameHeader, FRAME_HEADER_BYTES, PREAMBLE_BYTES } from "./format.js";
import { firstSegmentOf, type Manifest } from "./manifest.js";
import { type CoreFiles, listLog, type SegmentName } from "./segment-name.js";

export interface DropPlace {
  readonly io: BlockIo;
  /** The store's. */
  readonly directory: string;
  /** The first segment of a core that its writer, or who takes it over, has use for; null where nobody writes. */
  readonly firstNeededSegmentOf: (core: number) => number | null;
}

export interface DroppedFiles {
  readonly count: number;
  readonly byteLength: number;
}

/** The files that may go, the oldest of each core first. `manifest` is durable. */
export async function droppableSegments(place: DropPlace, manifest: Manifest): Promise<SegmentName[]> {
  if (manifest.checkpointLsn === 0) return [];
  const found: SegmentName[] = [];
  for (const files of await listLog(place.directory, 0)) found.push(...(await droppableOf(place, manifest, files)));
  return found;
}

async function droppableOf(
  place: DropPlace,
  { incarnations, checkpointLsn }: Manifest,
  { core, segments }: CoreFiles,
): Promise<readonly SegmentName[]> {
  const oldestLiving = incarnations.find(({ lastLsn }) => lastLsn === null || lastLsn > checkpointLsn);
  if (oldestLiving === undefined) return []; // nobody writes
  const first = firstSegmentOf(oldestLiving, core);
  let count = segments.filter(({ segment }) => segment < first).length;
  const needed = place.firstNeededSegmentOf(core) ?? Number.POSITIVE_INFINITY;
  for (let at = count + 1; at < segments.length; at++) {
    const { path } = segments[at] as SegmentName;
    if ((segments[at - 1] as SegmentName).segment >= needed) break;
    const firstLsn = await firstLsnIn(place.io, path);
    if (firstLsn === null) continue; // a file that has no record yet: one behind it may have
    if (firstLsn > checkpointLsn) break;
    count = at;
  }
  return segments.slice(0, count);
}

/** Of the file's first frame, where that has records. */
async function firstLsnIn(io: BlockIo, path: string): Promise<number | null> {
  const file = await DirectFile.open(io, path, "read");
  const buffer = new AlignedBuffer(BLOCK_BYTES);
  try {
    const read = checkResult(await file.read(buffer, 0, BLOCK_BYTES, PREAMBLE_BYTES), "reading", path);
    if (read < FRAME_HEADER_BYTES) return null;
    const decoded = decodeFrameHeader(buffer.bytes.subarray(0, FRAME_HEADER_BYTES));
    return decoded.kind === "frame" && decoded.header.recordCount > 0 ? decoded.header.firstLsn : null;
  } finally {
    buffer.unmap();
    await file.close();
  }
}

/** Removes the files, and makes that durable. */
export async function dropSegments(names: readonly SegmentName[]): Promise<DroppedFiles> {
  let byteLength = 0;
  const directories = new Set<string>();
  for (const { path } of names) {
    byteLength += (await stat(path)).size;
    await unlink(path);
    directories.add(dirname(path));
  }
  for (const directory of directories) await syncDirectory(directory);
  return { count: names.length, byteLength };
}
