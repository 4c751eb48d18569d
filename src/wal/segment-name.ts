/** Names of the log's files: `wal/core-000/0000000001.wal`. */

import { readdir } from "node:fs/promises";
import { join } from "node:path";

const SEGMENT_DIGITS = 10;
const SEGMENT_NAME = /^(\d{10})\.wal$/;

export interface SegmentName {
  readonly segment: number;
  readonly path: string;
}

export function coreDirectory(storeDirectory: string, core: number): string {
  return join(storeDirectory, "wal", `core-${String(core).padStart(3, "0")}`);
}

export function segmentPath(directory: string, segment: number): string {
  return join(directory, `${String(segment).padStart(SEGMENT_DIGITS, "0")}.wal`);
}

/** The segments in a core's directory in order; none where the directory does not exist. */
export async function listSegments(directory: string): Promise<SegmentName[]> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  const found: SegmentName[] = [];
  for (const name of names) {
    const digits = SEGMENT_NAME.exec(name)?.[1];
    if (digits !== undefined) found.push({ segment: Number(digits), path: join(directory, name) });
  }
  return found.sort((a, b) => a.segment - b.segment);
}
