/** Reads every byte of the sealed tier and checks it: each segment by itself, and that they are one chain up to the checkpoint. */

import type { BlockIo } from "../ffi/index.js";
import type { StoreKeys } from "./crypt/store-keys.js";
import type { Manifest } from "./manifest.js";
import { currentManifest } from "./manifest-change.js";
import type { KeyOf } from "./record-key.js";
import { CHAIN_START } from "./sealed/hash-chain.js";
import { sealedDamage } from "./sealed/sealed-damage.js";
import { entryOf } from "./sealed/sealed-entry.js";
import { sealedDirectory, sealedPath } from "./sealed/sealed-name.js";
import { verifySegment } from "./sealed/verify-segment.js";
import { checkSealedRange } from "./sealed-tier.js";

/** What was verified. */
export interface SealedVerification {
  readonly segments: number;
  /** The last LSN that is sealed. */
  readonly lastLsn: number;
  /** Records that are left, those below the horizon included. */
  readonly records: number;
  /** LSNs of which the record was removed. */
  readonly removedLsns: number;
  /** The last LSN that a truncation of the log has dropped; 0: none. */
  readonly horizon: number;
  /** Records up to the horizon: of streams that nothing is dropped of. */
  readonly sparedRecords: number;
  /** LSNs that dead writers took with them. */
  readonly voidLsns: number;
}

export interface VerifyPlace {
  readonly io: BlockIo;
  /** The store's. */
  readonly directory: string;
  readonly keyOf: KeyOf;
  /** Of a store that is encrypted. */
  readonly keys?: StoreKeys | null;
}

/**
 * Verifies the sealed tier as the newest manifest lists it; begins again where a checkpoint replaces segments meanwhile.
 *
 * @throws StoreError `ERR_WAL_CORRUPT`, `ERR_WAL_FOREIGN`, `ERR_WAL_VERSION` with path, offset and LSNs; `ERR_IO_FAILED`
 */
export async function verifySealed(place: VerifyPlace): Promise<SealedVerification> {
  for (;;) {
    const manifest = await currentManifest(place.directory);
    try {
      return await verifyAll(place, manifest);
    } catch (error) {
      const newest = await currentManifest(place.directory);
      if (JSON.stringify(newest.sealed) === JSON.stringify(manifest.sealed)) throw error;
    }
  }
}

async function verifyAll(
  { io, directory, keyOf, keys = null }: VerifyPlace,
  manifest: Manifest,
): Promise<SealedVerification> {
  const storeId = Buffer.from(manifest.storeId, "hex");
  const folder = sealedDirectory(directory);
  checkSealedRange(manifest, folder);
  const { horizonLsn: horizon } = manifest;
  const counts = { records: 0, removedLsns: 0, sparedRecords: 0, voidLsns: 0 };
  let hash = CHAIN_START;
  for (const entry of manifest.sealed) {
    const path = sealedPath(folder, entry.number);
    const trailer = await verifySegment(path, { io, storeId, number: entry.number, keyOf, keys });
    const { firstLsn, lastLsn } = entry;
    const found = entryOf(trailer);
    const isListed = found.firstLsn === firstLsn && found.lastLsn === lastLsn && found.hash === entry.hash;
    const place = { path, offset: 0, firstLsn, lastLsn };
    if (!isListed) throw sealedDamage(place, "not the segment that the manifest lists");
    if (trailer.hashBefore.toString("hex") !== hash)
      throw sealedDamage(place, "its hash chain does not follow the one before");
    hash = found.hash;
    counts.records += trailer.recordCount;
    counts.voidLsns += trailer.voidCount;
    counts.removedLsns += trailer.removedCount;
    if (lastLsn <= horizon) counts.sparedRecords += trailer.recordCount;
  }
  return { segments: manifest.sealed.length, lastLsn: manifest.checkpointLsn, horizon, ...counts };
}
