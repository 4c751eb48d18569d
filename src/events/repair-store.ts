/** Repairing a store: what it does to the log is in src/wal/repair; here it is asked for, judged before and after, and reported. */

import { realpathSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { isStoreError, StoreError } from "../errors.js";
import {
  checkOptionNames,
  type DamageNote,
  type DroppedVersions,
  type EncryptionOptions,
  type ExaminedStore,
  examineStore,
  isStore,
  type LsnRange,
  type RepairPlace,
  repairLog,
  withStoreLocked,
} from "../wal/index.js";
import { envelopeKey } from "./envelope-key.js";
import { EventReader } from "./event-reader.js";
import { checkDirectory, checkedEncryption } from "./open-options.js";
import { verifyEvents } from "./verify-events.js";

/** How a store is repaired. */
export interface RepairOptions {
  /** Only say what would be done; changes nothing. Default true: what a repair drops is to be read before. */
  readonly dryRun?: boolean;
  /** Where the copy goes that is made before anything is changed: a path that does not exist. Default: beside the store. */
  readonly backup?: string;
  /** Told the LSN that is looked at, now and then. Throwing ends it. */
  readonly onProgress?: (lsn: number) => void;
  /**
   * The keys of a store that is encrypted; by the first, `key`, it is encrypted afterwards. They are loaded for each look at the store: a
   * function is called several times.
   */
  readonly encryption?: EncryptionOptions | null;
}

/** What a repair found, did, or would do. */
export interface RepairReport {
  readonly directory: string;
  /**
   * `clean`: nothing is wrong, and nothing was done. `damaged`: a dry run found what can be repaired. `repaired`. `unrepairable`: it cannot
   * be repaired, and `obstacle` says why; nothing was changed.
   */
  readonly status: "clean" | "damaged" | "repaired" | "unrepairable";
  /** What opening it, or reading it to the end, is refused for; null of a clean store. */
  readonly problem: { readonly code: string; readonly message: string } | null;
  readonly obstacle: string | null;
  /** The last LSN that the store has after the repair. */
  readonly lastLsn: number;
  readonly keptEvents: number;
  /** LSNs that were durable and cannot be read. They are never used again; `verify` counts them as removed. */
  readonly lost: readonly LsnRange[];
  readonly lostLsns: number;
  /** Intact events that go because their stream has lost a later one: a stream has no hole, and begins behind it. */
  readonly dropped: readonly DroppedVersions[];
  readonly droppedEvents: number;
  /** LSNs of whole events behind one that is missing and that nothing attests: as in a recovery they go, and were never acknowledged. */
  readonly unacknowledged: readonly LsnRange[];
  readonly damage: readonly DamageNote[];
  readonly foreignFiles: readonly string[];
  /** The copy of the store as it was; null where none was made. */
  readonly backup: string | null;
  /** Damaged files, and checkpoints of projections that know what is lost, by their paths in the store now. */
  readonly quarantined: readonly string[];
}

const OPTION_NAMES = ["dryRun", "backup", "onProgress", "encryption"] as const;
const BUSY_WAIT_MS = 30_000;

function checkRepair(directory: unknown, options: RepairOptions): void {
  checkDirectory(directory);
  checkOptionNames(options, OPTION_NAMES, "repairStore");
  const { dryRun, backup, onProgress } = options;
  if (dryRun !== undefined && typeof dryRun !== "boolean") throw new TypeError("option dryRun must be true or false");
  if (backup !== undefined && (typeof backup !== "string" || backup === ""))
    throw new TypeError("option backup must be the name of a directory");
  if (onProgress !== undefined && typeof onProgress !== "function")
    throw new TypeError("option onProgress must be a function");
  checkedEncryption(options.encryption);
}

/**
 * Repairs a store that cannot be opened, or not be read to the end; by default only says what that would do.
 *
 * A copy of the store is made first. What is intact is written into new sealed segments, each read back, and one manifest puts them in the place
 * of everything else; before it the store is what it was. Damaged files are moved into `quarantine/` with a report. Afterwards the store
 * opens and verifies. LSNs and versions stay what they are. What is lost:
 *
 * - events that cannot be read (`lost`). `salvageStore` may still get some from the copy, of which one part is damaged;
 * - of a stream that has lost an event between others, all before the last such loss (`dropped`): streams have no holes;
 * - the versions of a stream whose newest events are lost: nobody can know that there were any, and they are given again.
 *
 * In an encrypted store, what holds its checksum and not its authentication tag is lost too, and is named in `damage` as `tampered`. The new
 * segments are encrypted by the current key; the copy, and what is in `quarantine/`, stay as they were.
 *
 * The log is written anew as a whole: that needs as much room as its intact part. Backups of before do not go on from a repaired store
 * (`ERR_BACKUP_DIVERGED`).
 *
 * @throws TypeError for a wrong argument or option
 * @throws StoreError `ERR_STORE_NOT_FOUND`, `ERR_STORE_LOCKED`, `ERR_STORE_BUSY`, `ERR_STORE_EXISTS` (the copy's place is taken),
 *   `ERR_KEY_MISSING`, `ERR_KEY_WRONG`, `ERR_IO_FAILED`: the store is as it was
 *
 * @example
 * ```ts
 * const plan = await repairStore("./shop");
 * console.log(plan.status, plan.lost, plan.dropped);
 * if (plan.status === "damaged") await repairStore("./shop", { dryRun: false });
 * ```
 */
export async function repairStore(directory: string, options: RepairOptions = {}): Promise<RepairReport> {
  checkRepair(directory, options);
  const { dryRun = true, onProgress = () => {} } = options;
  const path = realPathOf(directory);
  const place: RepairPlace = {
    directory: path,
    keyOf: envelopeKey(),
    encryption: checkedEncryption(options.encryption),
    busyWaitMs: BUSY_WAIT_MS,
    onWaiting: () => {},
    onProgress,
  };
  try {
    // Where there is no store none is begun by its lock.
    if (dryRun || !isStore(path)) {
      const examined = await examine(place);
      if (dryRun) return examined;
    }
    const backup = backupOf(path, options.backup);
    return await withStoreLocked(place, () => repair(place, backup));
  } catch (error) {
    throw withErrno(error);
  }
}

function realPathOf(directory: string): string {
  try {
    return realpathSync(directory);
  } catch (cause) {
    const message = `there is no store in ${directory}`;
    throw new StoreError("ERR_STORE_NOT_FOUND", message, { directory }, { cause });
  }
}

/** The copy's place. @throws TypeError for one in the store */
function backupOf(directory: string, given: string | undefined): string {
  if (given === undefined) {
    const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, "");
    return join(dirname(directory), `${basename(directory)}.before-repair-${time}`);
  }
  const path = resolve(given);
  if (!relative(directory, path).startsWith("..")) throw new TypeError("option backup must not lie in the store");
  return path;
}

function withErrno(error: unknown): unknown {
  if (!(error instanceof Error && "syscall" in error) || isStoreError(error)) return error;
  const { code = "unknown" } = error as NodeJS.ErrnoException;
  return new StoreError("ERR_IO_FAILED", error.message, { errno: code }, { cause: error });
}

/** What says something of the store. Where a key is missing or wrong is found out by looking at the files: the manifest may be an older one. */
const PROBLEMS: readonly string[] = [
  "ERR_WAL_CORRUPT",
  "ERR_WAL_TAMPERED",
  "ERR_WAL_VERSION",
  "ERR_WAL_FOREIGN",
  "ERR_STORE_NOT_FOUND",
  "ERR_KEY_MISSING",
  "ERR_KEY_WRONG",
];

/** What is wrong with the store; null when nothing is. Throws what says nothing of the store. */
async function problemOf({ directory, encryption }: RepairPlace): Promise<StoreError | null> {
  try {
    const reader = await EventReader.open(directory, [], new Map(), encryption);
    try {
      await verifyEvents(reader);
      return null;
    } finally {
      await reader.close();
    }
  } catch (error) {
    if (isStoreError(error) && PROBLEMS.includes(error.code)) return error;
    throw error;
  }
}

const NOTHING = {
  obstacle: null,
  lastLsn: 0,
  keptEvents: 0,
  lost: [],
  lostLsns: 0,
  dropped: [],
  droppedEvents: 0,
  unacknowledged: [],
  damage: [],
  foreignFiles: [],
  backup: null,
  quarantined: [],
} as const satisfies Partial<RepairReport>;

async function examine(place: RepairPlace): Promise<RepairReport> {
  const { directory } = place;
  const problem = await problemOf(place);
  if (problem === null) return { ...NOTHING, directory, status: "clean", problem: null };
  const examined = await examineStore(place);
  examined.survey.keys.close();
  if (problem.code === "ERR_STORE_NOT_FOUND" && examined.survey.fileCount === 0) throw problem;
  return reportOf(directory, problem, examined);
}

function reportOf(directory: string, { code, message }: StoreError, examined: ExaminedStore): RepairReport {
  const { survey, plan, obstacle } = examined;
  const { damage, foreignFiles } = survey;
  const found = { ...NOTHING, directory, problem: { code, message }, damage, foreignFiles };
  if (plan === null) return { ...found, status: "unrepairable", obstacle };
  const { removal: _, ...named } = plan;
  return { ...found, ...named, status: "damaged" };
}

/** Under the store's locks. */
async function repair(place: RepairPlace, backup: string): Promise<RepairReport> {
  const { directory } = place;
  const problem = await problemOf(place);
  if (problem === null) return { ...NOTHING, directory, status: "clean", problem: null };
  const examined = await examineStore(place);
  const report = reportOf(directory, problem, examined);
  let quarantined: readonly string[];
  try {
    const { plan } = examined;
    if (plan === null) return report;
    ({ quarantined } = await repairLog(place, { ...examined, plan }, backup));
  } finally {
    examined.survey.keys.close();
  }
  const left = await problemOf(place);
  if (left !== null) return { ...report, status: "unrepairable", obstacle: left.message, backup, quarantined };
  return { ...report, status: "repaired", backup, quarantined };
}
