/**
 * What a device, or somebody with a copy, does to the file of subject keys, judged on copies of a disk: a bit that rots, a write that was lost or
 * landed elsewhere, an older copy that was put back. Whatever it is, an event reads as it did or is refused by a code, its store too; who was
 * forgotten stays so, and nobody else is taken for forgotten.
 */

import { isStoreError, type RecordedEvent, type Store, type StoreErrorCode } from "../../src/index.js";
import { type Chance, chance } from "./chance.js";
import { type History, Violation } from "./history.js";
import { STORE_DIRECTORY } from "./inspection.js";
import type { Keyring } from "./keyring.js";
import { seenEvent } from "./read-log.js";
import { type SeedPlan, SUBJECT_KEYS_FILE } from "./seed-plan.js";
import type { SimulatedDisk } from "./simulated-disk.js";
import { SimulatedFile } from "./simulated-file.js";
import type { World } from "./world.js";

const PAGE_BYTES = 4096;
const TRIES = 6;
const KINDS = ["rot", "lost", "misdirected", "older"] as const;
const REFUSALS: ReadonlySet<string> = new Set<StoreErrorCode>([
  "ERR_WAL_CORRUPT",
  "ERR_WAL_TAMPERED",
  "ERR_WAL_VERSION",
  "ERR_WAL_FOREIGN",
  "ERR_KEY_MISSING",
  "ERR_KEY_WRONG",
]);

type Standing = "open" | "forgotten" | "refused";

export interface KeyFileParts {
  readonly world: World;
  readonly history: History;
  readonly plan: SeedPlan;
  readonly keyring: Keyring;
}

export class KeyFileDamage {
  readonly #parts: KeyFileParts;
  readonly #chance: Chance;
  /** The file as it was after each generation. */
  readonly #images: Buffer[] = [];
  readonly counts = { keyFileDamages: 0, keyFileRefusals: 0, keyFileRefusedReadings: 0 };

  constructor(parts: KeyFileParts) {
    this.#parts = parts;
    this.#chance = chance(parts.world.seed, "key file");
  }

  /** Before anything else happens to the disk. */
  remember(disk: SimulatedDisk): void {
    const { entry } = disk.find(SUBJECT_KEYS_FILE, "stat");
    if (entry instanceof SimulatedFile && entry.size > 0) this.#images.push(imageOf(entry));
  }

  /** The disk is not touched. */
  async check(disk: SimulatedDisk): Promise<void> {
    const { entry } = disk.find(SUBJECT_KEYS_FILE, "stat");
    if (!(entry instanceof SimulatedFile) || entry.size === 0) return;
    const now = imageOf(entry);
    for (let tries = 0; tries < TRIES; tries++) {
      const kind = this.#chance.pick(KINDS);
      const damaged = this.#damage(now, kind);
      if (damaged === null || damaged.equals(now)) continue;
      this.counts.keyFileDamages++;
      const copy = disk.copy();
      copy.unlink(SUBJECT_KEYS_FILE);
      const file = copy.createFile(SUBJECT_KEYS_FILE);
      file.land(file.begin(damaged, 0), true);
      await this.#judge(copy, kind);
    }
  }

  #damage(now: Buffer, kind: (typeof KINDS)[number]): Buffer | null {
    const damaged = Buffer.from(now);
    const pages = Math.ceil(now.length / PAGE_BYTES);
    const at = this.#chance.integer(pages) * PAGE_BYTES;
    const older = this.#images.length === 0 ? null : this.#chance.pick(this.#images);
    switch (kind) {
      case "rot": {
        const byte = Math.min(now.length - 1, at + this.#chance.integer(PAGE_BYTES));
        damaged[byte] = (damaged[byte] as number) ^ (1 << this.#chance.integer(8));
        return damaged;
      }
      case "lost":
        if (older === null) return null;
        damaged.fill(0, at, at + PAGE_BYTES);
        damaged.set(older.subarray(at, at + PAGE_BYTES), at);
        return damaged;
      case "misdirected":
        now.copy(damaged, this.#chance.integer(pages) * PAGE_BYTES, at, at + PAGE_BYTES);
        return damaged;
      case "older":
        return older;
    }
  }

  /** Opened twice: what the first opening destroys and logs must be what was forgotten before. */
  async #judge(disk: SimulatedDisk, kind: string): Promise<void> {
    const { world, keyring, plan } = this.#parts;
    world.boot(disk);
    let before: ReadonlyMap<number, Standing> | null = null;
    for (const opening of ["first", "second"]) {
      const { process, varve } = world.start(0, `${opening} opener of a damaged key file`);
      const options = { segmentBytes: plan.segmentBytes, ...keyring.options(process) };
      const found = await world.until(this.#open(varve.openStore, options), `a key file is damaged: ${kind}`);
      process.exit();
      if (found === null) {
        this.counts.keyFileRefusals++;
        return;
      }
      for (const [lsn, standing] of before ?? []) {
        const now = found.get(lsn);
        if (now !== standing) throw new Violation(`key file, ${kind}: LSN ${lsn} was ${standing}, and is ${now}`);
      }
      before = found;
    }
  }

  /** By LSN, of events of subjects. Null: the store is refused. */
  async #open(
    openStore: (directory: string, options: object) => Promise<Store>,
    options: object,
  ): Promise<ReadonlyMap<number, Standing> | null> {
    let store: Store;
    try {
      store = await openStore(STORE_DIRECTORY, options);
    } catch (error) {
      if (isStoreError(error) && REFUSALS.has(error.code)) return null;
      throw error;
    }
    const history = this.#parts.history.copy();
    const found = new Map<number, Standing>();
    for await (const event of store.readAll({ after: store.horizon, through: store.recovery.lastLsn })) {
      const standing = this.#standingOf(event, history);
      if (event.subjectKeyId !== null) found.set(event.lsn, standing);
    }
    await store.close();
    return found;
  }

  #standingOf(event: RecordedEvent, history: History): Standing {
    try {
      history.see(seenEvent(event));
      return event.forgotten ? "forgotten" : "open";
    } catch (error) {
      if (!isStoreError(error) || !REFUSALS.has(error.code)) throw error;
      this.counts.keyFileRefusedReadings++;
      return "refused";
    }
  }
}

function imageOf(file: SimulatedFile): Buffer {
  const bytes = Buffer.alloc(file.size);
  file.read(bytes, 0);
  return bytes;
}
