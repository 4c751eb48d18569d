/** Making a store of a backup. */

import { type RestoreReport, restoreLog } from "../wal/index.js";
import { checkRestore, type RestoreStoreOptions } from "./backup-options.js";
import { envelopeKey } from "./envelope-key.js";

/** For somebody else who restores into the same directory. */
const BUSY_WAIT_MS = 30_000;

/**
 * Makes a store in a directory of a backup that `store.backup` made: all of it, or up to an LSN or a time.
 *
 * Every byte is read back and its hashes are checked before there is a store. An append is restored whole or not at all; with `toLsn` or `toTime`
 * what is restored ends with the last write at or before it (`report.lsn`): a write can be of several appends that went together. The
 * directory must be absent or empty, or what an interrupted restore left, which is gone on with. The backup is only read.
 *
 * The restored store has the id of the one that was backed up. Where something is left out, its LSNs, stream versions and derived event ids
 * are given anew: who remembers an LSN above `report.lsn` (a subscriber, a projection of one's own) must begin again from there or before.
 * Checkpoints of projections are not in a backup: projections are rebuilt from the log.
 *
 * @throws TypeError, RangeError for a wrong argument or option
 * @throws StoreError `ERR_BACKUP_NOT_FOUND`, `ERR_BACKUP_RANGE`, `ERR_STORE_EXISTS`: nothing was written
 * @throws StoreError `ERR_WAL_CORRUPT` naming the backup's file, `ERR_WAL_FOREIGN`, `ERR_WAL_VERSION`, `ERR_IO_FAILED`, `ERR_STORE_BUSY`: there is
 *   no store in the directory, and restoring again goes on
 *
 * @example
 * ```ts
 * const plan = await restoreStore("/mnt/backup/shop", "./shop", { toLsn: 1_000_000, dryRun: true });
 * console.log(plan.restored.events, plan.leftOut.events);
 * await restoreStore("/mnt/backup/shop", "./shop", { toLsn: 1_000_000 });
 * ```
 */
export async function restoreStore(
  backup: string,
  directory: string,
  options: RestoreStoreOptions = {},
): Promise<RestoreReport> {
  checkRestore(backup, directory, options);
  return restoreLog(backup, directory, {
    ...options,
    dryRun: options.dryRun ?? false,
    keyOf: envelopeKey(),
    busyWaitMs: BUSY_WAIT_MS,
  });
}
