/**
 * Looks through a store that is encrypted without its keys: whether everything is whole, as far as checksums, LSNs and places say.
 *
 * What it cannot say without them: whether the bytes are those that a writer of this store wrote (authentication tags), what the events are, whether
 * the hash chain is that of the records, and whether the index of streams is right.
 */

import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isStoreError } from "../errors.js";
import { type BlockIo, BufferPool, DirectFile, openIo } from "../ffi/index.js";
import { acceptedLog, judgeLog, type RecoveryReport } from "./find-log.js";
import { type Manifest, readManifest } from "./manifest.js";
import { currentManifest } from "./manifest-change.js";
import { CHAIN_START } from "./sealed/hash-chain.js";
import { sealedDamage } from "./sealed/sealed-damage.js";
import { entryOf } from "./sealed/sealed-entry.js";
import { sealedDirectory, sealedPath } from "./sealed/sealed-name.js";
import { walkSegment } from "./sealed/segment-walk.js";
import { checkSealedRange } from "./sealed-tier.js";

const READ_CHUNK_BYTES = 1024 * 1024;
const READ_CHUNKS_MAX = 16;
/** A writer can be seen between two of its writes. */
const TRIES_MAX = 20;
const RETRY_MS = 20;

/** What was looked through. */
export interface KeylessVerification {
  /** The last LSN that is there. */
  readonly lastLsn: number;
  /** The last LSN that is sealed, and the segments. */
  readonly sealedLsn: number;
  readonly sealedSegments: number;
  /** The numbers of the keys that the store has. */
  readonly keyIds: readonly number[];
  readonly recovery: RecoveryReport;
}

/** Whether the store in a directory is encrypted; false where there is none. */
export async function isEncrypted(directory: string): Promise<boolean> {
  const found = await readManifest(directory);
  return found.kind === "manifest" && found.manifest.encryption !== undefined;
}

/**
 * Reads everything and checks what can be checked without keys; changes nothing.
 *
 * @throws StoreError `ERR_WAL_CORRUPT`, `ERR_WAL_VERSION`, `ERR_WAL_FOREIGN`, `ERR_IO_FAILED`
 */
export async function verifyWithoutKeys(directory: string): Promise<KeylessVerification> {
  const manifest = await currentManifest(directory);
  const io = openIo("auto", join(directory, `manifest-${String(manifest.sequence).padStart(10, "0")}`));
  const pool = new BufferPool(READ_CHUNK_BYTES, READ_CHUNKS_MAX);
  try {
    for (let tries = 1; ; tries++) {
      try {
        return await verifyOnce({ io, pool, directory });
      } catch (error) {
        const mayPass = (error as NodeJS.ErrnoException).code === "ENOENT" || isStoreError(error, "ERR_WAL_CORRUPT");
        if (!mayPass || tries === TRIES_MAX) throw error;
        await delay(RETRY_MS);
      }
    }
  } finally {
    await io.close();
    pool.close();
  }
}

interface Place {
  readonly io: BlockIo;
  readonly pool: BufferPool;
  readonly directory: string;
}

async function verifyOnce(place: Place): Promise<KeylessVerification> {
  const judged = await judgeLog({ ...place, isKeyless: true }, () => {});
  if (judged === "absent") throw sealedDamage({ path: place.directory, offset: 0, firstLsn: 0, lastLsn: 0 }, "no log");
  const { manifest, report } = acceptedLog(judged);
  await verifySegments(place, manifest);
  return {
    lastLsn: report.lastLsn,
    sealedLsn: manifest.checkpointLsn,
    sealedSegments: manifest.sealed.length,
    keyIds: manifest.encryption?.keys.map(({ id }) => id) ?? [],
    recovery: report,
  };
}

async function verifySegments({ io, pool, directory }: Place, manifest: Manifest): Promise<void> {
  const folder = sealedDirectory(directory);
  checkSealedRange(manifest, folder);
  const storeId = Buffer.from(manifest.storeId, "hex");
  let hash = CHAIN_START;
  for (const entry of manifest.sealed) {
    const { number, firstLsn, lastLsn } = entry;
    const file = await DirectFile.open(io, sealedPath(folder, number), "read");
    try {
      const trailer = await walkSegment({ file, pool, storeId, number, keys: null, isKeyless: true });
      const place = { path: file.path, offset: 0, firstLsn, lastLsn };
      const found = entryOf(trailer);
      if (found.firstLsn !== firstLsn || found.lastLsn !== lastLsn || found.hash !== entry.hash)
        throw sealedDamage(place, "not the segment that the manifest lists");
      if (trailer.hashBefore.toString("hex") !== hash)
        throw sealedDamage(place, "its hash chain does not follow the one before");
      hash = found.hash;
    } finally {
      await file.close();
    }
  }
}
