/** Names of the log's files: `wal/core-000/0000000001.wal`. */

import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** Writers at the same time: each is a core. */
export const CORES_MAX = 64;
const SEGMENT_DIGITS = 10;
const SEGMENT_NAME = /^(\d{10})\.wal$/;
const CORE_NAME = /^core-(\d{3})$/;

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

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** The cores that have a directory in the store, in order. */
export async function listCores(storeDirectory: string): Promise<number[]> {
  const cores: number[] = [];
  for (const name of await namesIn(join(storeDirectory, "wal"))) {
    const core = Number(CORE_NAME.exec(name)?.[1] ?? CORES_MAX);
    if (core < CORES_MAX) cores.push(core);
  }
  return cores.sort((a, b) => a - b);
}

/** The segments in a core's directory in order; none where the directory does not exist. */
export async function listSegments(directory: string): Promise<SegmentName[]> {
  const names = await namesIn(directory);
  const found: SegmentName[] = [];
  for (const name of names) {
    const digits = SEGMENT_NAME.exec(name)?.[1];
    if (digits !== undefined) found.push({ segment: Number(digits), path: join(directory, name) });
  }
  return found.sort((a, b) => a.segment - b.segment);
}

/** The segments of a core. */
export interface CoreFiles {
  readonly core: number;
  /** The core's. */
  readonly directory: string;
  readonly segments: readonly SegmentName[];
}

/** The segments of all cores that have a directory, and of those below `coreCount`, in order. */
export async function listLog(storeDirectory: string, coreCount: number): Promise<CoreFiles[]> {
  const cores = new Set(await listCores(storeDirectory));
  for (let core = 0; core < coreCount; core++) cores.add(core);
  const listed = [...cores].map(async (core) => {
    const directory = coreDirectory(storeDirectory, core);
    return { core, directory, segments: await listSegments(directory) };
  });
  return (await Promise.all(listed)).sort((a, b) => a.core - b.core);
}
