/** Making a store of a backup. */

import { readFileSync } from "node:fs";
import { StoreError } from "../errors.js";
import { type RestoreReport, restoreLog } from "../wal/index.js";
import { checkRestore, type RestoreStoreOptions } from "./backup-options.js";
import { envelopeKey } from "./envelope-key.js";
import { EventStore } from "./event-store.js";
import { type ForgetAttestation, isForgetAttestation } from "./forget-attestation.js";

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
 * Checkpoints of projections are not in a backup: projections are rebuilt from the log. Nor are the keys of subjects: what was forgotten since stays
 * so where the file of today is used. Where that is put back from a copy too, `forgotten` says what was; the attestations are not verified.
 *
 * @throws TypeError, RangeError for a wrong argument or option
 * @throws StoreError `ERR_BACKUP_NOT_FOUND`, `ERR_BACKUP_RANGE`, `ERR_STORE_EXISTS`, `ERR_IMPORT_SOURCE` for what is no file of attestations: nothing was written
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
  const { forgotten = [], ...others } = options;
  const attestations = forgotten.flatMap((given) => (typeof given === "string" ? attestationsIn(given) : [given]));
  const restoring = { ...others, keyOf: envelopeKey(), busyWaitMs: BUSY_WAIT_MS };
  if (attestations.length > 0) {
    const { storeId } = await restoreLog(backup, directory, { ...restoring, dryRun: true });
    for (const attestation of attestations) assertOf(storeId, attestation);
  }
  const report = await restoreLog(backup, directory, { ...restoring, dryRun: options.dryRun ?? false });
  if (attestations.length > 0 && !report.isDryRun) await forgetAgain(directory, options, attestations);
  return report;
}

function attestationsIn(path: string): ForgetAttestation[] {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    const message = `the attestations in ${path} cannot be read: ${(cause as Error).message}`;
    throw new StoreError("ERR_IMPORT_SOURCE", message, { path }, { cause });
  }
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (list.every(isForgetAttestation)) return list;
  const message = `${path} does not have what store.forget returns, or a list of it`;
  throw new StoreError("ERR_IMPORT_SOURCE", message, { path });
}

function assertOf(storeId: string, attestation: ForgetAttestation): void {
  if (attestation.storeId === storeId) return;
  const message = `an attestation is of the store ${attestation.storeId}; the backup is of ${storeId}`;
  throw new StoreError("ERR_WAL_FOREIGN", message, { storeId, attestedStoreId: attestation.storeId });
}

/** A log that ends before somebody was forgotten says it anew. */
async function forgetAgain(
  directory: string,
  { encryption }: RestoreStoreOptions,
  attestations: readonly ForgetAttestation[],
): Promise<void> {
  const options = { ...(encryption !== undefined && { encryption }), exclusive: true };
  const store = await EventStore.open(directory, options, new Map());
  try {
    await store.forgetKeys(new Set(attestations.flatMap(({ keyIds }) => keyIds)));
  } finally {
    await store.close();
  }
}
