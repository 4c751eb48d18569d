/** What a checkpoint does with the log's records: reads what is not sealed yet, and writes it into sealed segments. */

import { StoreError } from "../errors.js";
import { type BlockIo, BufferPool, type IoDemand, openIo } from "../ffi/index.js";
import type { CoreTail } from "./core-cursor.js";
import { LogIndex } from "./frame-index.js";
import { LogReader } from "./log-reader.js";
import { type Manifest, voidsOf } from "./manifest.js";
import type { KeyOf } from "./record-key.js";
import { CHAIN_START } from "./sealed/hash-chain.js";
import { mergeFrames } from "./sealed/merge-frames.js";
import { compactSegments } from "./sealed/rewrite-segments.js";
import type { SealedEntry } from "./sealed/sealed-entry.js";
import { nextSealedNumber, sealedDirectory } from "./sealed/sealed-name.js";

const READ_CHUNK_BYTES = 1024 * 1024;
const READ_CHUNKS_MAX = 64;

/** Can be sent to another thread. */
export interface SealTask {
  readonly work: "merge" | "compact";
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
  /** To be made one, where that is the work; they follow each other. */
  readonly segments: readonly SealedEntry[];
}

/** Words that both threads see: whether to stop, and how many bytes of records were sealed. */
export const SEAL_WORD = { stop: 0, recordBytes: 1 } as const;
export type SealWords = BigInt64Array;

/** Everything is in files that nobody lists yet. Throws `ERR_STORE_CLOSED` when it is to stop. */
export async function sealLog(
  task: SealTask,
  keyOf: KeyOf,
  words: SealWords,
  open: typeof openIo = openIo,
): Promise<readonly SealedEntry[]> {
  const io = open(task.io, `${task.directory}/lock`);
  const pool = new BufferPool(READ_CHUNK_BYTES, READ_CHUNKS_MAX);
  try {
    return await (task.work === "merge" ? merge(task, keyOf, words, io, pool) : compact(task, keyOf, io, pool));
  } finally {
    await io.close();
    pool.close();
  }
}

async function merge(
  task: SealTask,
  keyOf: KeyOf,
  words: SealWords,
  io: BlockIo,
  pool: BufferPool,
): Promise<readonly SealedEntry[]> {
  const { directory, manifest, through, tails } = task;
  const { checkpointLsn, sealed } = manifest;
  const storeId = Buffer.from(manifest.storeId, "hex");
  const place = { io, pool, directory, storeId, manifest };
  const log = new LogReader({ ...place, index: new LogIndex(), settled: [], tails: () => tails });
  try {
    return await mergeFrames(log.frames(checkpointLsn, through), {
      io,
      pool,
      directory: sealedDirectory(directory),
      storeId,
      firstNumber: await nextSealedNumber(sealedDirectory(directory), sealed),
      after: { lsn: checkpointLsn, hash: sealed.at(-1)?.hash ?? CHAIN_START },
      keyOf,
      through,
      recordedAt: task.sealedRecordedAt,
      voids: voidsOf(manifest),
      onProgress: (recordBytes) => {
        Atomics.store(words, SEAL_WORD.recordBytes, BigInt(recordBytes));
        if (Atomics.load(words, SEAL_WORD.stop) !== 0n) throw stopped();
      },
    });
  } finally {
    await log.close();
  }
}

async function compact(task: SealTask, keyOf: KeyOf, io: BlockIo, pool: BufferPool): Promise<readonly SealedEntry[]> {
  const directory = sealedDirectory(task.directory);
  const firstNumber = await nextSealedNumber(directory, task.manifest.sealed);
  const storeId = Buffer.from(task.manifest.storeId, "hex");
  return compactSegments(task.segments, { io, pool, directory, storeId, firstNumber, keyOf });
}

function stopped(): StoreError {
  return new StoreError("ERR_STORE_CLOSED", "the store was closed while a checkpoint was made");
}
