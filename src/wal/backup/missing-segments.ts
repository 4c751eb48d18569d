/** Which sealed segments a directory does not have yet: the same is one with the same number, size, hash, and last page. */

import { type BlockIo, DirectFile } from "../../ffi/index.js";
import type { SealedEntry } from "../sealed/sealed-entry.js";
import { PAGE_BYTES } from "../sealed/sealed-format.js";
import { sealedPath } from "../sealed/sealed-name.js";
import { readPage } from "../sealed/segment-walk.js";

export interface MatchedPlace {
  readonly io: BlockIo;
  /** Of sealed segments. */
  readonly directory: string;
}

/**
 * The trailer, which is where the manifest says that the file ends: it has the hash of everything that was ever sealed up to there, and counts
 * of what is left of it, so it differs also where a segment was rewritten without some of its records.
 */
async function trailerPage(place: MatchedPlace, { number, byteLength }: SealedEntry): Promise<Buffer | null> {
  let file: DirectFile;
  try {
    file = await DirectFile.open(place.io, sealedPath(place.directory, number), "read");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
  try {
    if ((await file.byteLength()) !== byteLength) return null;
    return await readPage(file, byteLength - PAGE_BYTES);
  } finally {
    await file.close();
  }
}

/** Those of the segments of one directory that another does not have, in order. */
export async function missingSegments(
  entries: readonly SealedEntry[],
  from: MatchedPlace,
  to: MatchedPlace,
): Promise<SealedEntry[]> {
  const missing: SealedEntry[] = [];
  for (const entry of entries) {
    const there = await trailerPage(to, entry);
    const here = there === null ? null : await trailerPage(from, entry);
    if (there === null || here === null || !there.equals(here)) missing.push(entry);
  }
  return missing;
}
