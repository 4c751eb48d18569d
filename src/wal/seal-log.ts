/** What is done in the thread that seals: writes what is not sealed yet into sealed segments, or sealed segments anew. */

import { assert } from "../assert.js";
import { StoreError } from "../errors.js";
import { type BlockIo, BufferPool, type IoDemand, openIo } from "../ffi/index.js";
import { type CopyTask, copySegments } from "./backup/copy-segments.js";
import type { CoreTail } from "./core-cursor.js";
import { adoptKeys } from "./crypt/adopt-keys.js";
import { type KeyHandle, StoreKeys } from "./crypt/store-keys.js";
import { LogIndex } from "./frame-index.js";
import { LogReader } from "./log-reader.js";
import { type Manifest, voidsOf } from "./manifest.js";
import type { KeyOf } from "./record-key.js";
import { CHAIN_START } from "./sealed/hash-chain.js";
import { mergeFrames } from "./sealed/merge-frames.js";
import type { Removal } from "./sealed/removal.js";
import { compactSegments, dropRecords, scavengeSegments } from "./sealed/rewrite-segments.js";
import type { SealedEntry } from "./sealed/sealed-entry.js";
import type { Compression } from "./sealed/sealed-format.js";
import { nextSealedNumber, sealedDirectory } from "./sealed/sealed-name.js";

const READ_CHUNK_BYTES = 1024 * 1024;
const READ_CHUNKS_MAX = 64;

/** Can be sent to another thread. */
export interface SealTask {
  readonly work: "merge" | "compact" | "scavenge" | "drop";
  /** The store's. */
  readonly directory: string;
  readonly io: IoDemand;
  readonly manifest: Manifest;
  /** The last LSN to be sealed, which W has passed. */
  readonly through: number;
  /** As they were then, or later. */
  readonly tails: readonly CoreTail[];
  /** The highest so far that is sealed; 0 when nothing is. */
  readonly sealedRecordedAt: number;
  /** To be made one, to be looked through, or of which is dropped what the removal takes; they follow each other. */
  readonly segments: readonly SealedEntry[];
  /** What is to be removed, where that is the work. */
  readonly removal: Removal | null;
  readonly compression: Compression;
  /** Where the keys of a store that is encrypted lie, in this process. */
  readonly keys?: KeyHandle | null;
}

/** Words that both threads see: whether to stop, how many bytes of records were sealed, or of files copied, how many records were removed. */
export const SEAL_WORD = { stop: 0, recordBytes: 1, removedRecords: 2 } as const;
export type SealWords = BigInt64Array;

/** What is done in a thread of its own. */
export type SealWork = SealTask | CopyTask;

/** Everything is in files that nobody lists yet. Throws `ERR_STORE_CLOSED` when it is to stop. */
export async function sealLog(
  task: SealWork,
  keyOf: KeyOf,
  words: SealWords,
  open: typeof openIo = openIo,
): Promise<readonly SealedEntry[]> {
  if (task.work === "copy") return copySegments(task, (copiedBytes) => tellProgress(words, copiedBytes), open);
  const keys = task.keys == null ? null : StoreKeys.borrow(task.keys);
  try {
    adoptKeys(keys, task.manifest, task.directory);
    const io = open(task.io, `${task.directory}/lock`);
    const pool = new BufferPool(READ_CHUNK_BYTES, READ_CHUNKS_MAX);
    try {
      const place = { io, pool, keys };
      return await (task.work === "merge" ? merge(task, keyOf, words, place) : rewrite(task, keyOf, words, place));
    } finally {
      await io.close();
      pool.close();
    }
  } finally {
    keys?.close();
  }
}

interface SealPlace {
  readonly io: BlockIo;
  readonly pool: BufferPool;
  readonly keys: StoreKeys | null;
}

async function merge(
  task: SealTask,
  keyOf: KeyOf,
  words: SealWords,
  { io, pool, keys }: SealPlace,
): Promise<readonly SealedEntry[]> {
  const { compression, directory, manifest, through, tails } = task;
  const { checkpointLsn, sealed } = manifest;
  const storeId = Buffer.from(manifest.storeId, "hex");
  const place = { io, pool, keys, directory, storeId, manifest };
  const log = new LogReader({ ...place, index: new LogIndex(), settled: [], tails: () => tails });
  try {
    return await mergeFrames(log.frames(checkpointLsn, through), {
      io,
      pool,
      keys,
      directory: sealedDirectory(directory),
      storeId,
      firstNumber: await nextSealedNumber(sealedDirectory(directory), sealed),
      after: { lsn: checkpointLsn, hash: sealed.at(-1)?.hash ?? CHAIN_START },
      keyOf,
      through,
      recordedAt: task.sealedRecordedAt,
      compression,
      voids: voidsOf(manifest),
      onProgress: (recordBytes) => {
        Atomics.store(words, SEAL_WORD.recordBytes, BigInt(recordBytes));
        checkRunning(words);
      },
    });
  } finally {
    await log.close();
  }
}

async function rewrite(
  task: SealTask,
  keyOf: KeyOf,
  words: SealWords,
  { io, pool, keys }: SealPlace,
): Promise<readonly SealedEntry[]> {
  const directory = sealedDirectory(task.directory);
  const { compression, work, segments, removal } = task;
  const firstNumber = await nextSealedNumber(directory, task.manifest.sealed);
  const storeId = Buffer.from(task.manifest.storeId, "hex");
  const onProgress = (): void => checkRunning(words);
  const options = { io, pool, keys, directory, storeId, firstNumber, keyOf, onProgress, compression };
  if (work === "compact") return compactSegments(segments, options);
  assert(removal !== null, "who removes says what");
  const rewritten = await (work === "drop" ? dropRecords : scavengeSegments)(segments, removal, options);
  Atomics.store(words, SEAL_WORD.removedRecords, BigInt(rewritten.removedRecords));
  return rewritten.entries;
}

function tellProgress(words: SealWords, byteLength: number): void {
  Atomics.store(words, SEAL_WORD.recordBytes, BigInt(byteLength));
  checkRunning(words);
}

function checkRunning(words: SealWords): void {
  if (Atomics.load(words, SEAL_WORD.stop) === 0n) return;
  throw new StoreError("ERR_STORE_CLOSED", "the store was closed while a checkpoint or a backup was made");
}
