/** How a backup is made and restored, checked. */

import { checkOptionNames, type EncryptionOptions, integerOption } from "../wal/index.js";
import { type ForgetAttestation, isForgetAttestation } from "./forget-attestation.js";
import { checkedEncryption } from "./open-options.js";

/** How a backup is made. */
export interface BackupOptions {
  /** Ends it when it aborts; the former backup is as it was. */
  readonly signal?: AbortSignal;
}

/** How far, and how, a backup is restored. */
export interface RestoreStoreOptions {
  /** Restore the appends that end at or before this LSN. */
  readonly toLsn?: number;
  /** Restore what was recorded at or before this time, in µs since 1970. Not together with `toLsn`. */
  readonly toTime?: number;
  /** Only say what would be restored and what left out; write nothing. Default false. */
  readonly dryRun?: boolean;
  /** The key of a backup that is encrypted, which is that of its store. What is written anew is encrypted by it. */
  readonly encryption?: EncryptionOptions | null;
  /**
   * What was forgotten since the backup was made: attestations, or the names of files of JSON with one or with a list of them. The restored store
   * is opened once, destroys those keys in `encryption.subjectKeys` where they are not destroyed, and logs them. Where that fails the store is
   * there without: remove it, and restore again. Default: none.
   */
  readonly forgotten?: readonly (ForgetAttestation | string)[];
  /** Ends it when it aborts; there is no store then. */
  readonly signal?: AbortSignal;
  /** Told now and then how many bytes of files have been copied. */
  readonly onProgress?: (copiedBytes: number) => void;
}

const RESTORE_OPTION_NAMES = [
  "toLsn",
  "toTime",
  "dryRun",
  "encryption",
  "forgotten",
  "signal",
  "onProgress",
] as const satisfies readonly (keyof RestoreStoreOptions)[];

function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError("option signal must be an AbortSignal");
  }
}

/** @throws TypeError naming the argument or option */
export function checkBackup(directory: unknown, options: BackupOptions): void {
  if (typeof directory !== "string" || directory === "")
    throw new TypeError("a backup needs the name of its directory");
  checkOptionNames(options, ["signal"], "backup");
  checkSignal(options.signal);
}

/** @throws TypeError, RangeError naming the argument or option */
export function checkRestore(backup: unknown, directory: unknown, options: RestoreStoreOptions): void {
  if (typeof backup !== "string" || backup === "") throw new TypeError("restoreStore needs the backup's directory");
  if (typeof directory !== "string" || directory === "") {
    throw new TypeError("restoreStore needs the directory that the store is to have");
  }
  checkOptionNames(options, RESTORE_OPTION_NAMES, "restoreStore");
  const { toLsn, toTime, dryRun, signal, onProgress } = options;
  if (toLsn !== undefined && toTime !== undefined) throw new TypeError("options toLsn and toTime exclude each other");
  const { MIN_SAFE_INTEGER: min, MAX_SAFE_INTEGER: max } = Number;
  integerOption(toLsn, "toLsn", { min: 0, max, default: 0 });
  integerOption(toTime, "toTime", { min, max, default: 0 });
  if (dryRun !== undefined && typeof dryRun !== "boolean") throw new TypeError("option dryRun must be true or false");
  if (onProgress !== undefined && typeof onProgress !== "function") {
    throw new TypeError("option onProgress must be a function");
  }
  const encryption = checkedEncryption(options.encryption);
  checkSignal(signal);
  const { forgotten = [] } = options;
  const isGiven = (given: unknown): boolean => typeof given === "string" || isForgetAttestation(given);
  if (!Array.isArray(forgotten) || !forgotten.every(isGiven)) {
    throw new TypeError("option forgotten must be an array of attestations and names of files");
  }
  if (forgotten.length > 0 && encryption?.subjectKeys === undefined) {
    throw new TypeError("option forgotten needs the option encryption.subjectKeys");
  }
}
