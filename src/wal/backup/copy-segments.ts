/**
 * Copies sealed segments from one store's directory into another's, byte by byte, and proves that what arrived is what was sealed.
 *
 * A copy is written under a temporary name, synced, read back from the device and checked to its last byte, its hash chain against what the
 * manifest says, and only then gets its name. Direct I/O on both sides where the file systems have it; else buffered, and the pages of
 * the page cache are given back before reading back and at the end: a backup must not drive out what the machine works with.
 */

import { mkdir, rename, unlink } from "node:fs/promises";
import { StoreError } from "../../errors.js";
import { type BlockIo, BufferPool, DirectFile, type IoDemand, openIo, syncDirectory } from "../../ffi/index.js";
import { adoptKeys } from "../crypt/adopt-keys.js";
import type { StoreEncryption } from "../crypt/store-encryption.js";
import { type KeyHandle, StoreKeys } from "../crypt/store-keys.js";
import { ReadAhead } from "../read-ahead.js";
import { FileSink, SinkBuffers } from "../sealed/file-sink.js";
import { sealedDamage } from "../sealed/sealed-damage.js";
import { entryOf, type SealedEntry } from "../sealed/sealed-entry.js";
import { sealedDirectory, sealedPath, temporaryPath } from "../sealed/sealed-name.js";
import type { SealedTrailer } from "../sealed/sealed-trailer.js";
import { walkSegment } from "../sealed/segment-walk.js";

const READ_CHUNK_BYTES = 1024 * 1024;
const READ_CHUNKS_MAX = 8;

/** Can be sent to another thread. */
export interface CopyTask {
  readonly work: "copy";
  readonly from: {
    /** The store's. */
    readonly directory: string;
    readonly io: IoDemand;
    /** A file there that tells which I/O its file system has. */
    readonly probe: string;
  };
  readonly storeId: string;
  /** Of a store that is encrypted: its manifest's word, and where the keys lie in this process. */
  readonly encryption?: StoreEncryption | undefined;
  readonly keys?: KeyHandle | null;
  readonly segments: readonly SealedEntry[];
  /** The store's directory that is copied into, with a file `lock`. Its file system decides on the I/O. */
  readonly target: string;
}

interface CopyPlace {
  readonly from: BlockIo;
  readonly to: BlockIo;
  readonly pool: BufferPool;
  readonly storeId: Uint8Array;
  readonly keys: StoreKeys | null;
  /** Of sealed segments. */
  readonly fromDirectory: string;
  readonly toDirectory: string;
  /** Called with the bytes of the file so far. Throwing ends the copy. */
  readonly onProgress: (byteLength: number) => void;
}

/**
 * Copies the segments in order and returns those that it copied: one that does not exist any more is left out, because a compaction
 * replaces segments at any time. Their names are durable.
 *
 * @throws StoreError `ERR_WAL_CORRUPT` for a segment that is damaged where it comes from, by its path there; `ERR_IO_FAILED` when writing or
 *   reading back fails; what `onProgress` throws
 */
export async function copySegments(
  task: CopyTask,
  onProgress: (copiedBytes: number) => void,
  open: typeof openIo = openIo,
): Promise<readonly SealedEntry[]> {
  const toDirectory = sealedDirectory(task.target);
  if ((await mkdir(toDirectory, { recursive: true })) !== undefined) await syncDirectory(task.target);
  const pool = new BufferPool(READ_CHUNK_BYTES, READ_CHUNKS_MAX);
  const from = open(task.from.io, task.from.probe);
  let to: BlockIo | null = null;
  const copied: SealedEntry[] = [];
  let copiedBytes = 0;
  const keys = task.keys == null ? null : StoreKeys.borrow(task.keys);
  try {
    adoptKeys(keys, task, task.from.directory);
    to = open("auto", `${task.target}/lock`);
    const place = {
      from,
      to,
      pool,
      storeId: Buffer.from(task.storeId, "hex"),
      keys,
      fromDirectory: sealedDirectory(task.from.directory),
      toDirectory,
      onProgress: (byteLength: number) => onProgress(copiedBytes + byteLength),
    };
    for (const entry of task.segments) {
      if (!(await copySegment(entry, place))) continue;
      copied.push(entry);
      copiedBytes += entry.byteLength;
    }
  } finally {
    await from.close();
    await to?.close();
    pool.close();
    keys?.close();
  }
  await syncDirectory(toDirectory);
  return copied;
}

/** False when it is not there. */
async function copySegment(entry: SealedEntry, place: CopyPlace): Promise<boolean> {
  const { number } = entry;
  let source: DirectFile;
  try {
    source = await DirectFile.open(place.from, sealedPath(place.fromDirectory, number), "read");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  const path = temporaryPath(place.toDirectory, number);
  try {
    await unlink(path).catch(() => {}); // of a copy that was interrupted; whether it is in the way, creating it says
    const target = await DirectFile.create(place.to, path);
    try {
      await copyBytes(source, target, place);
      await target.dataSync();
      target.dropCache();
      await checkCopy(entry, source, target, place);
    } catch (error) {
      await unlink(path).catch(() => {}); // what failed is known already
      throw error;
    } finally {
      target.dropCache();
      await target.close();
    }
  } finally {
    source.dropCache();
    await source.close();
  }
  await rename(path, sealedPath(place.toDirectory, number));
  return true;
}

async function copyBytes(source: DirectFile, target: DirectFile, { pool, onProgress }: CopyPlace): Promise<void> {
  const buffers = new SinkBuffers();
  const sink = new FileSink(target, buffers);
  const reads = new ReadAhead(source, pool, 0, await source.byteLength());
  try {
    for (let chunk = await reads.next(); chunk !== null; chunk = await reads.next()) {
      const pending = sink.write(chunk.bytes);
      if (pending !== null) await pending;
      onProgress(sink.fileOffset);
    }
    await sink.finish();
  } finally {
    await reads.close();
    await sink.drain();
    buffers.unmap();
  }
}

/** What was written is checked; what it was read from only where that is not as it should be, to say which of the two is damaged. */
async function checkCopy(entry: SealedEntry, source: DirectFile, target: DirectFile, place: CopyPlace): Promise<void> {
  const { pool, storeId, keys } = place;
  const walked = (file: DirectFile): Promise<SealedTrailer> =>
    walkSegment({ file, pool, storeId, keys, number: entry.number });
  let cause: unknown;
  try {
    if (isListed(await walked(target), entry)) return;
  } catch (error) {
    cause = error;
  }
  if (!isListed(await walked(source), entry)) {
    const at = { path: source.path, offset: 0, firstLsn: entry.firstLsn, lastLsn: entry.lastLsn };
    throw sealedDamage(at, "another segment than the manifest lists");
  }
  const message = `${target.path} does not read back as it was written`;
  throw new StoreError("ERR_IO_FAILED", message, { path: target.path }, { cause });
}

function isListed(trailer: SealedTrailer, entry: SealedEntry): boolean {
  const found = entryOf(trailer);
  return (
    found.hash === entry.hash &&
    found.firstLsn === entry.firstLsn &&
    found.lastLsn === entry.lastLsn &&
    found.byteLength === entry.byteLength
  );
}

/** For who must have a segment that was not there to be copied. */
export function segmentMissing(directory: string, { number, firstLsn, lastLsn }: SealedEntry): StoreError {
  const path = sealedPath(directory, number);
  return new StoreError("ERR_WAL_CORRUPT", `${path} is missing (LSNs ${firstLsn} to ${lastLsn})`, {
    path,
    firstLsn,
    lastLsn,
  });
}
