/** Opening the sealed tier of a store: what the manifest says of it must be there. */

import { StoreError } from "../errors.js";
import type { BlockIo, BufferPool } from "../ffi/index.js";
import type { StoreKeys } from "./crypt/store-keys.js";
import type { Manifest } from "./manifest.js";
import { SealedLog } from "./sealed/sealed-log.js";
import { sealedDirectory } from "./sealed/sealed-name.js";

export interface SealedPlace {
  readonly io: BlockIo;
  readonly pool: BufferPool;
  /** The store's. */
  readonly directory: string;
  /** Of a store that is encrypted. */
  readonly keys?: StoreKeys | null;
}

/** @throws StoreError `ERR_WAL_CORRUPT` when the segments do not hold exactly LSN 1 to the checkpoint's */
export function checkSealedRange({ checkpointLsn, sealed }: Manifest, directory: string): void {
  const firstLsn = sealed[0]?.firstLsn ?? 1;
  const lastLsn = sealed.at(-1)?.lastLsn ?? 0;
  if (firstLsn === 1 && lastLsn === checkpointLsn) return;
  const message = `the manifest says that LSN 1 to ${checkpointLsn} are sealed, and lists ${firstLsn} to ${lastLsn} (${directory})`;
  throw new StoreError("ERR_WAL_CORRUPT", message, { directory, checkpointLsn, firstLsn, lastLsn });
}

/**
 * Opens the sealed segments that the manifest lists, reading a page of each.
 *
 * @throws StoreError `ERR_WAL_CORRUPT`, `ERR_WAL_FOREIGN`, `ERR_WAL_VERSION`, naming the file and its LSNs
 */
export function openSealedTier(place: SealedPlace, manifest: Manifest): Promise<SealedLog> {
  const directory = sealedDirectory(place.directory);
  checkSealedRange(manifest, directory);
  const storeId = Buffer.from(manifest.storeId, "hex");
  return SealedLog.open({ ...place, directory, storeId }, manifest.sealed, manifest.horizonLsn);
}
