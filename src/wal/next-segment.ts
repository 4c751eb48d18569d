/** Where a writer that has just attached begins: behind every segment that its core has, in a file of its own. */

import { unlink } from "node:fs/promises";
import { AlignedBuffer, type BlockIo, checkResult, DirectFile, syncDirectory } from "../ffi/index.js";
import type { Attachment } from "./attachment.js";
import { decodePreamble, PREAMBLE_BYTES } from "./format.js";
import { firstSegmentOf } from "./manifest.js";
import { coreDirectory, listSegments } from "./segment-name.js";

/**
 * The number of the next segment. A file that got no preamble, because the writer before died while it made it, is removed: in front of
 * another one it would look like damage.
 */
export async function nextSegment(
  { directory, io }: { readonly directory: string; readonly io: BlockIo },
  { manifest, owner: { core } }: Attachment,
): Promise<number> {
  const coreFiles = coreDirectory(directory, core);
  const segments = await listSegments(coreFiles);
  for (let last = segments.at(-1); last !== undefined && !(await isBegun(io, last.path)); last = segments.at(-1)) {
    await unlink(last.path);
    segments.pop();
  }
  await syncDirectory(coreFiles);
  const newest = manifest.incarnations.at(-1);
  const first = newest === undefined ? 1 : firstSegmentOf(newest, core);
  return Math.max((segments.at(-1)?.segment ?? 0) + 1, first);
}

async function isBegun(io: BlockIo, path: string): Promise<boolean> {
  let file: DirectFile;
  try {
    file = await DirectFile.open(io, path, "read");
  } catch (error) {
    // Listed, and since dropped by the checkpoint of another writer, which has sealed what was in it.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return true;
    throw error;
  }
  const buffer = new AlignedBuffer(PREAMBLE_BYTES);
  try {
    const read = checkResult(await file.read(buffer, 0, PREAMBLE_BYTES, 0), "reading", path);
    return read > 0 && decodePreamble(buffer.bytes).kind !== "zero";
  } finally {
    await file.close();
    buffer.unmap();
  }
}
