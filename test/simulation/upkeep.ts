/**
 * What is done to a store from outside: backups that are restored, a key that takes the place of all others, repairs. Each is cut off at
 * random operations, and judged.
 */

import { type BackupReport, isStoreError, type RepairReport, type RestoreReport } from "../../src/index.js";
import type { Attestation } from "./attestation.js";
import { rotBit, rotPage } from "./bit-rot.js";
import { type Chance, chance } from "./chance.js";
import { type History, Violation } from "./history.js";
import { type Inspection, inspectStore, STORE_DIRECTORY } from "./inspection.js";
import { type Interruptions, interrupted } from "./interruption.js";
import { Keyring } from "./keyring.js";
import { checkRepaired } from "./repaired.js";
import { BACKUP_DIRECTORIES, type SeedPlan } from "./seed-plan.js";
import { SimulatedDirectory, type SimulatedDisk } from "./simulated-disk.js";
import type { World } from "./world.js";

const RESTORED_DIRECTORY = "/restored";
const BEFORE_REPAIR_DIRECTORY = "/before-repair";
const CUTS_MAX = 3;
const BITS_MAX = 3;
/** Of each kind of file in a store as often as of another, the newest manifest included. */
const ROTTING: readonly string[] = ["wal/", "log/", "manifest-"].map((name) => `${STORE_DIRECTORY}/${name}`);
const QUIET = (): void => {};

const NO_KEYS = new Keyring(0, false);

interface Restored {
  readonly report: RestoreReport;
  readonly disk: SimulatedDisk;
  /** Of the store that was restored. */
  readonly keyring: Keyring;
}

export interface UpkeepParts {
  readonly world: World;
  readonly history: History;
  readonly plan: SeedPlan;
  readonly keyring: Keyring;
}

export class Upkeep {
  readonly #parts: UpkeepParts;
  readonly #chance: Chance;
  /** By directory, the LSN of the last backup that its caller was told of. */
  readonly #backedUp = new Map<string, number>();
  readonly counts = { backups: 0, restores: 0, rekeyings: 0, repairs: 0, lostLsns: 0, cuts: 0 };

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
    this.#chance = chance(parts.world.seed, "upkeep");
  }

  backedUp(directory: string, { lsn }: BackupReport): void {
    this.counts.backups++;
    this.#backedUp.set(directory, Math.max(lsn, this.#backedUp.get(directory) ?? 0));
  }

  get #interruptions(): Interruptions {
    return {
      chance: this.#chance,
      cuts: this.#chance.integer(CUTS_MAX + 1),
      onCut: () => {
        this.counts.cuts++;
      },
    };
  }

  /** Every backup on the disk, as it is, restores to a beginning of the log that has what the last one had. The disk is not touched. */
  async checkBackups(disk: SimulatedDisk): Promise<void> {
    for (const directory of BACKUP_DIRECTORIES) {
      const leastLsn = this.#backedUp.get(directory) ?? 0;
      if (disk.find(directory, "stat").entry instanceof SimulatedDirectory || leastLsn > 0) {
        await this.#checkBackup(disk, directory, leastLsn);
      }
    }
  }

  async #checkBackup(disk: SimulatedDisk, directory: string, leastLsn: number): Promise<void> {
    const { history } = this.#parts;
    const toLsn = leastLsn > 0 && this.#chance.integer(3) === 0 ? 1 + this.#chance.integer(leastLsn) : null;
    const restored = await this.#restore(disk, directory, toLsn);
    if (restored === null) {
      if (leastLsn > 0 && toLsn === null)
        throw new Violation(`${directory} was backed up to LSN ${leastLsn}, and is none`);
      return;
    }
    const { report, disk: left } = restored;
    if (report.backupLsn < leastLsn)
      throw new Violation(`${directory} was backed up to LSN ${leastLsn}, and ends at ${report.backupLsn}`);
    if (report.lsn > (toLsn ?? report.backupLsn))
      throw new Violation(`LSN ${report.lsn} was restored of ${directory}, and asked for was ${toLsn}`);
    const found = await this.#inspect(left, RESTORED_DIRECTORY, restored.keyring);
    // What is restored is the beginning of a log: its own life ends here.
    history.copy().check(found.events, report.lsn, { lostAbove: report.lsn, horizon: found.horizon });
    for (const event of found.events) history.see(event);
    this.counts.restores++;
  }

  /** Null where there is no backup, or none that reaches as far back. */
  async #restore(disk: SimulatedDisk, backup: string, toLsn: number | null): Promise<Restored | null> {
    const { keyring, plan } = this.#parts;
    try {
      return await this.#restoreWith(keyring, disk, backup, toLsn);
    } catch (error) {
      if (isStoreError(error, "ERR_BACKUP_NOT_FOUND")) return null;
      if (toLsn !== null && isStoreError(error, "ERR_BACKUP_RANGE")) return null;
      // It was made before the store was encrypted, and stays what it is.
      const isOlder = isStoreError(error, "ERR_KEY_WRONG") && keyring.isUsed && !plan.isEncrypted;
      if (isOlder) return this.#restoreWith(NO_KEYS, disk, backup, toLsn);
      throw error;
    }
  }

  async #restoreWith(keyring: Keyring, disk: SimulatedDisk, backup: string, toLsn: number | null): Promise<Restored> {
    const to = toLsn === null ? {} : { toLsn };
    let planned: RestoreReport | null = null;
    const { world } = this.#parts;
    const finished = await interrupted(world, disk.copy(), "restore", this.#interruptions, async (process, varve) => {
      const options = { ...keyring.options(process), ...to };
      try {
        planned ??= await varve.restoreStore(backup, RESTORED_DIRECTORY, { ...options, dryRun: true });
        return await varve.restoreStore(backup, RESTORED_DIRECTORY, options);
      } catch (error) {
        // Cut off behind its last step.
        if (planned === null || !isStoreError(error, "ERR_STORE_EXISTS")) throw error;
        return planned;
      }
    });
    return { report: finished.result, disk: finished.disk, keyring };
  }

  async #inspect(
    disk: SimulatedDisk,
    directory: string,
    keyring: Keyring = this.#parts.keyring,
    firstKey?: number,
  ): Promise<Inspection> {
    const { world, plan } = this.#parts;
    const { segmentBytes } = plan;
    const options = { segmentBytes, graph: false, sums: false, keyring, directory, firstKey };
    const found = await inspectStore(world, disk.copy(), options, QUIET);
    if ("code" in found) throw new Violation(`${directory} cannot be opened: ${found.message}`, { cause: found });
    return found;
  }

  /** Has everything in the store encrypted by one key, and by no other, though it is cut off now and then. Returns the disk that it leaves. */
  async rekey(disk: SimulatedDisk): Promise<SimulatedDisk> {
    const { world, keyring, history } = this.#parts;
    const number = this.#chance.integer(100);
    keyring.isUsed = true;
    const { result, disk: left } = await interrupted(
      world,
      disk.copy(),
      "rekey",
      this.#interruptions,
      async (process, varve) => {
        const { encryption } = keyring.options(process, number);
        if (encryption === undefined) throw new Error("the keyring is used");
        try {
          return await varve.rekeyStore(STORE_DIRECTORY, { encryption });
        } catch (error) {
          if (isStoreError(error, "ERR_STORE_NOT_FOUND")) return null;
          throw error;
        }
      },
    );
    if (result === null) return left;
    this.counts.rekeyings++;
    const found = await this.#inspect(left, STORE_DIRECTORY, keyring, number);
    history.check(found.events, found.watermark, { lostAbove: Number.POSITIVE_INFINITY, horizon: found.horizon });
    return left;
  }

  /**
   * Of a disk that is damaged: what a repair names is all that is missing afterwards, however often it was cut off. With `rots`, some bits of a
   * copy are damaged for it. The disk is not touched.
   */
  async checkRepair(disk: SimulatedDisk, attestation: Attestation, rots: boolean): Promise<void> {
    if (rots && !this.#chance.happens(this.#parts.plan.repairs)) return;
    const rotten = disk.copy();
    const attested = attestation.copy();
    for (let bits = rots ? 1 + this.#chance.integer(BITS_MAX) : 0; bits > 0; bits--) {
      const bit = rotBit(rotten, this.#chance.pick(ROTTING), this.#chance);
      if (bit !== null) attested.damaged(bit.path, bit.offset, bit.offset + 1);
    }
    const end = this.#parts.plan.rottenEnds > 0 ? attested.firstUnattested : null;
    if (end !== null && this.#chance.happens(this.#parts.plan.rottenEnds)) {
      const bit = rotPage(rotten, end.path, end.offset, this.#chance);
      if (bit !== null) attested.damaged(bit.path, bit.offset, bit.offset + 1);
    }
    const planned = await this.#planRepair(rotten, STORE_DIRECTORY);
    if (planned === null) return;
    if (planned.status === "unrepairable") {
      const [told] = this.#parts.history.known();
      if (told !== undefined) throw new Violation(`unrepairable, with LSN ${told.lsn}: ${planned.obstacle}`);
      return; // nothing was ever in it
    }
    const left = planned.status === "damaged" ? await this.#repair(rotten, planned) : rotten;
    const found = await this.#inspect(left, STORE_DIRECTORY);
    // What was truncated before is not missing, though the manifest that says so may be.
    const horizon = Math.max(found.horizon, attested.horizonLsn);
    // Of a store that opens the opening leaves the end out, and reports it. A recovery that could not read a block has begun an incarnation
    // without frames that are there.
    const isKnown = planned.status === "damaged" && !this.#parts.world.faults.counts.has("readError");
    const isThere = (lsn: number, incarnation: number): boolean => isKnown && attested.isThere(lsn, incarnation);
    checkRepaired(this.#parts.history.copy(), { ...found, horizon }, planned, {
      attestedLsn: attested.lsn,
      isThere,
      wholeFrames: isKnown ? attested.wholeFrames() : [],
      wasWritten: (lsn) => attested.wasBegun(lsn),
    });
  }

  /** Null where there is no store. */
  async #planRepair(disk: SimulatedDisk, directory: string): Promise<RepairReport | null> {
    const { world, keyring } = this.#parts;
    const options = { chance: this.#chance, cuts: 0 };
    try {
      const planned = await interrupted(world, disk.copy(), "plan of a repair", options, (process, varve) =>
        varve.repairStore(directory, keyring.options(process)),
      );
      return planned.result;
    } catch (error) {
      if (isStoreError(error, "ERR_STORE_NOT_FOUND")) return null;
      throw error;
    }
  }

  /** Returns the disk with the repaired store. */
  async #repair(disk: SimulatedDisk, planned: RepairReport): Promise<SimulatedDisk> {
    const { world, keyring } = this.#parts;
    let tries = 0;
    const finished = await interrupted(world, disk.copy(), "repair", this.#interruptions, (process, varve) => {
      const backup = `${BEFORE_REPAIR_DIRECTORY}-${tries++}`;
      return varve.repairStore(STORE_DIRECTORY, { ...keyring.options(process), dryRun: false, backup });
    });
    const { status, obstacle } = finished.result;
    // One that was cut off behind its commit has left nothing to repair.
    if (status !== "repaired" && !(status === "clean" && tries > 1))
      throw new Violation(`a store that can be repaired is ${status}: ${obstacle ?? ""}`);
    this.counts.repairs++;
    this.counts.lostLsns += planned.lostLsns;
    if (status === "repaired") await this.#checkCopy(finished.disk, `${BEFORE_REPAIR_DIRECTORY}-${tries - 1}`, planned);
    return finished.disk;
  }

  /** The copy that was made before is as damaged as the store was. */
  async #checkCopy(disk: SimulatedDisk, directory: string, planned: RepairReport): Promise<void> {
    const again = await this.#planRepair(disk, directory);
    const told = ({ lastLsn, lost, dropped, unacknowledged }: RepairReport): string =>
      JSON.stringify([lastLsn, lost, dropped, unacknowledged]);
    if (again === null || told(again) !== told(planned))
      throw new Violation(`the copy before a repair is another store: ${again === null ? "none" : told(again)}`);
  }
}
