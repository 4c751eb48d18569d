/** A sealed segment up to an LSN within it, as a segment of its own. */

import { BufferPool, DirectFile } from "../../ffi/index.js";
import { copyThrough } from "../sealed/rewrite-segments.js";
import type { SealedEntry } from "../sealed/sealed-entry.js";
import { sealedPath } from "../sealed/sealed-name.js";
import type { SealedWriterOptions } from "../sealed/sealed-writer.js";
import { walkSegment } from "../sealed/segment-walk.js";
import type { MatchedPlace } from "./missing-segments.js";

const READ_CHUNK_BYTES = 1024 * 1024;
const READ_CHUNKS_MAX = 16;

/**
 * Writes the segment's frames up to `lsn`, with which one ends, into a new one. All of the old one is checked first: its hash chain says what
 * it should hold only at its end.
 *
 * @throws StoreError `ERR_WAL_CORRUPT` for a segment that is damaged; `ERR_IO_FAILED` when writing or reading back fails
 */
export async function cutSegment(
  entry: SealedEntry,
  lsn: number,
  from: MatchedPlace,
  options: Omit<SealedWriterOptions, "after" | "pool">,
): Promise<readonly SealedEntry[]> {
  const pool = new BufferPool(READ_CHUNK_BYTES, READ_CHUNKS_MAX);
  const { storeId, keys = null } = options;
  try {
    const file = await DirectFile.open(from.io, sealedPath(from.directory, entry.number), "read");
    try {
      await walkSegment({ file, pool, storeId, keys, number: entry.number });
    } finally {
      await file.close();
    }
    return await copyThrough(entry, lsn, from, { ...options, pool });
  } finally {
    pool.close();
  }
}
