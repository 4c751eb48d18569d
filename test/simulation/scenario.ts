/**
 * One seed: generations of writers on one disk, each of which ends by a power cut, by deaths, or in order; after each, the store is opened on a
 * copy of the disk, and the oracle judges what it holds.
 */

import { Attestation } from "./attestation.js";
import { rotBit } from "./bit-rot.js";
import { type Chance, chance } from "./chance.js";
import type { EngineCounts } from "./engine-caller.js";
import { History, Violation } from "./history.js";
import { type Inspection, inspectStore, manifestIn, STORE_DIRECTORY } from "./inspection.js";
import { KeyFileDamage } from "./key-file-damage.js";
import { Keyring } from "./keyring.js";
import { NonceBook } from "./nonce-book.js";
import { ReaderSession } from "./reader-session.js";
import { planOf, type SeedPlan, SUBJECT_KEYS_FILE } from "./seed-plan.js";
import { Session, type SessionPlace } from "./session.js";
import { SimulatedDisk } from "./simulated-disk.js";
import { CRASH_KINDS } from "./simulated-file.js";
import { SinkDatabase } from "./sink-database.js";
import type { Total } from "./total.js";
import { Upkeep } from "./upkeep.js";
import { World } from "./world.js";

const LANDING_US = 3_000_000;
const LIVES_MAX = 3;
/** Behind those of the writers. */
const READER_REALM = 3;
const READER_DEATH_US_MAX = 150_000;

export interface SeedReport extends Total {
  readonly seed: number;
  /** Of all that happened: the same for the same seed. */
  readonly traceHash: string;
}

/** What fails a seed, with what is needed to look at it. */
export class SeedFailure extends Error {
  readonly seed: number;
  readonly lines: readonly string[];

  constructor(seed: number, cause: unknown, lines: readonly string[]) {
    super(`seed ${seed}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.seed = seed;
    this.lines = lines;
  }
}

/** @throws SeedFailure */
export async function runSeed(seed: number, keepsLines = false): Promise<SeedReport> {
  const scenario = new Scenario(seed, keepsLines);
  try {
    return await scenario.run();
  } catch (error) {
    throw new SeedFailure(seed, error, scenario.world.lastLines);
  }
}

class Scenario {
  readonly world: World;
  readonly #plan: SeedPlan;
  readonly #chance: Chance;
  readonly #attestation = new Attestation();
  readonly #history = new History((lsn) => this.#attestation.incarnationOf(lsn));
  readonly #keyring: Keyring;
  readonly #nonces = new NonceBook();
  readonly #upkeep: Upkeep;
  readonly #keyFile: KeyFileDamage;
  readonly #database = new SinkDatabase();
  readonly #engineCounts: EngineCounts = { rebuilds: 0, documentRebuilds: 0, snapshotFolds: 0 };
  readonly #counts = {
    powerCuts: 0,
    deaths: 0,
    recoveries: 0,
    attachments: 0,
    verifications: 0,
    refusals: 0,
    kept: 0,
    rotations: 0,
  };
  #isRefused = false;

  constructor(seed: number, keepsLines: boolean) {
    this.world = new World(seed, new SimulatedDisk(), keepsLines);
    this.#plan = planOf(seed);
    this.#chance = chance(seed, "scenario");
    const subjectKeys = this.#plan.subjects > 0 ? SUBJECT_KEYS_FILE : null;
    this.#keyring = new Keyring(seed, this.#plan.isEncrypted, subjectKeys);
    this.#nonces.open();
    const parts = { world: this.world, history: this.#history, plan: this.#plan, keyring: this.#keyring };
    this.#upkeep = new Upkeep(parts);
    this.#keyFile = new KeyFileDamage(parts);
  }

  async run(): Promise<SeedReport> {
    const { world } = this;
    world.trace(JSON.stringify(this.#plan));
    for (let generation = 0; generation < this.#plan.generations && !this.#isRefused; generation++) {
      world.faults.rates = this.#plan.rates;
      // What is written to a copy of the disk, by whoever judges it, attests nothing of the disk itself.
      world.faults.attestation = this.#attestation;
      let disk = await this.#generation(generation);
      world.faults.attestation = null;
      world.faults.calm();
      if (this.#plan.isDamaging) this.#rot(disk);
      disk = await this.#keep(disk, generation);
      world.boot(disk);
      const isLast = generation + 1 === this.#plan.generations;
      if (isLast || this.#chance.integer(3) > 0) await this.#verify(disk);
      this.#nonces.check();
      if (this.#plan.subjects === 0) continue;
      // Behind all else, so that seeds do what they did before there was this.
      if (isLast && !this.#isRefused && world.faults.damages.length === 0) await this.#keyFile.check(disk);
      else this.#keyFile.remember(disk);
    }
    const { counts, operationCount } = world.faults;
    return {
      seed: world.seed,
      traceHash: world.traceHash,
      powerCuts: this.#counts.powerCuts,
      deaths: this.#counts.deaths,
      recoveries: this.#counts.recoveries,
      attachments: this.#counts.attachments,
      verifications: this.#counts.verifications,
      refusals: this.#counts.refusals,
      acknowledged: this.#history.acknowledgedCount,
      refusedAppends: this.#history.refusedCount,
      unacknowledgedKept: this.#counts.kept,
      voids: this.#history.voidCount,
      operations: operationCount,
      noncePairs: this.#nonces.count,
      nonceKeys: this.#nonces.keyCount,
      rotations: this.#counts.rotations,
      ...this.#upkeep.counts,
      ...this.#keyFile.counts,
      ...this.#engineCounts,
      sinkCommits: this.#database.commits,
      ...this.#history.subjects.counts,
      faults: Object.fromEntries(counts),
    };
  }

  /** What somebody does to a store whose processes are gone. Returns the disk that it leaves. */
  async #keep(disk: SimulatedDisk, generation: number): Promise<SimulatedDisk> {
    const { world } = this;
    const isLast = generation + 1 === this.#plan.generations;
    const { damages, counts } = world.faults;
    // A block that could not be read while the log was recovered counts as damaged.
    const isDamaged = damages.length > 0 || counts.has("readError");
    if (isDamaged || this.#plan.repairs > 0) await this.#upkeep.checkRepair(disk, this.#attestation, !isDamaged);
    if (isDamaged) return disk;
    if (this.#plan.backups > 0) await this.#upkeep.checkBackups(disk);
    const isRekeyed = this.#plan.rekeyings > 0 && (isLast || this.#chance.happens(this.#plan.rekeyings));
    return isRekeyed ? this.#upkeep.rekey(disk) : disk;
  }

  /** Returns the disk that it leaves. */
  async #generation(generation: number): Promise<SimulatedDisk> {
    const { world } = this;
    const { machine, faults } = world;
    machine.onManifest = (bytes) => {
      const { voids, checkpointLsn, incarnation, horizonLsn } = manifestIn(bytes);
      this.#history.sawVoids(voids);
      this.#attestation.sealed(checkpointLsn, incarnation, horizonLsn);
    };
    const cut = new Promise<SimulatedDisk>((resolve) => {
      if (this.#chance.integer(4) === 0) return;
      // Near: within a recovery.
      const after = this.#chance.integer(this.#chance.pick([30, 60, 200, 800]));
      faults.blows.push({
        at: faults.operationCount + 1 + after,
        when: this.#chance.pick(["before", "after"]),
        strike: () => {
          this.#counts.powerCuts++;
          resolve(machine.powerCut(this.#chance.pick(CRASH_KINDS), this.#chance));
        },
      });
    });
    const lives = Array.from({ length: this.#plan.writers }, (_, realm) =>
      this.#lives(realm, `${generation}-${realm}`),
    );
    if (this.#plan.hasReader) lives.push(this.#reader(`${generation}-reader`));
    const ended = Promise.all(lives).then(() => machine.disk);
    const disk = await world.until(Promise.race([cut, ended]), `generation ${generation} runs`);
    faults.blows = [];
    if (machine.isDown) return disk;
    // All are gone: their writes land, and then the power may be cut as well.
    await world.until(world.timeline.sleep(LANDING_US), "the last writes land");
    if (this.#chance.integer(2) === 0) return disk.copy();
    this.#counts.powerCuts++;
    return machine.powerCut(this.#chance.pick(CRASH_KINDS), this.#chance);
  }

  /** One process after the other. */
  async #lives(realm: number, name: string): Promise<void> {
    const { world } = this;
    const { machine } = world;
    for (let life = 0; life < LIVES_MAX && !this.#isRefused && !machine.isDown; life++) {
      const session = new Session(this.#place, realm, `${name}-${life}`);
      const ending = await Promise.race([
        session.run().then(() => "ended" as const),
        session.process.killed.then(() => "died" as const),
      ]);
      if (ending === "died") this.#counts.deaths++;
      else if (this.#chance.integer(3) > 0) return;
      await world.timeline.sleep(this.#chance.integer(30_000));
    }
  }

  async #reader(name: string): Promise<void> {
    const session = new ReaderSession(this.#place, READER_REALM, name);
    if (this.#chance.happens(this.#plan.deaths)) {
      session.process.plan(this.#chance.integer(READER_DEATH_US_MAX), () => session.process.kill());
    }
    await Promise.race([session.run(), session.process.killed]);
  }

  get #place(): SessionPlace {
    return {
      world: this.world,
      history: this.#history,
      plan: this.#plan,
      directory: STORE_DIRECTORY,
      keyring: this.#keyring,
      database: this.#database,
      engineCounts: this.#engineCounts,
      onRotated: () => this.#counts.rotations++,
      onBackedUp: (directory, report) => this.#upkeep.backedUp(directory, report),
      onRefusal: (error) => this.#refused(error),
      onCorrupt: (error) => this.#assertDamaged(error),
      onOpened: (row) => {
        if (row === "attached") this.#counts.attachments++;
        else this.#counts.recoveries++;
      },
    };
  }

  /** Whether it refuses for good. */
  #refused(error: Error & { readonly code: string }): boolean {
    this.#assertDamaged(error);
    if (this.world.faults.damages.length === 0) return false;
    this.#counts.refusals++;
    this.#isRefused = true;
    return true;
  }

  /** A block that cannot be read is a damaged one, for as long as the device says so. */
  #assertDamaged(error: Error & { readonly code: string }): void {
    const { damages, rates } = this.world.faults;
    if (damages.length > 0 || rates.readError > 0) return;
    throw new Violation(`P6: refused without damage: ${error.code} ${error.message}`, { cause: error });
  }

  /** Some bits of what lies on the disk. */
  #rot(disk: SimulatedDisk): void {
    const { faults } = this.world;
    if (!faults.rotsBits(this.#plan.rates)) return;
    const { rotting } = this.#plan;
    const below = rotting.length > 1 ? this.#chance.pick(rotting) : (rotting[0] ?? "/");
    const rotten = rotBit(disk, below, this.#chance);
    if (rotten === null) return;
    const { path, offset } = rotten;
    faults.damages.push(`bit rot in ${path} at ${offset}`);
    this.#attestation.damaged(path, offset, offset + 1);
    this.world.trace(`bit rot ${path} ${offset}`);
  }

  /** On copies of the disk: what is there, twice, and that both are the same. */
  async #verify(disk: SimulatedDisk): Promise<void> {
    const { world } = this;
    const first = await this.#open(disk.copy());
    if (first === null) {
      world.boot(disk);
      return;
    }
    if (this.#chance.integer(4) === 0) {
      const again = disk.copy();
      // The graph is a projection: without its saved state it is folded anew, and must come to the same.
      const rebuilds = this.#plan.hasGraph && !this.#plan.hasRetention;
      if (rebuilds) again.forget((path) => path.includes("/projections/"));
      const second = await this.#open(again);
      if (second === null || JSON.stringify(second.events) !== JSON.stringify(first.events)) {
        throw new Violation("P9: the same disk was recovered twice to different logs");
      }
      if (second.graph !== first.graph) throw new Violation("P9: the graph is not what its events make of it");
    }
    world.boot(disk);
  }

  async #open(disk: SimulatedDisk): Promise<Inspection | null> {
    const { world } = this;
    this.#counts.verifications++;
    const { segmentBytes, hasGraph, hasProjections, hasRetention } = this.#plan;
    const engine = this.#plan.engineSteps > 0;
    const wanted = {
      segmentBytes,
      graph: hasGraph,
      sums: hasProjections && !hasRetention,
      engine,
      keyring: this.#keyring,
    };
    const inspection = await inspectStore(world, disk, wanted, (bytes) =>
      this.#history.sawVoids(manifestIn(bytes).voids),
    );
    if ("code" in inspection) {
      this.#refused(inspection);
      return null;
    }
    this.#counts.recoveries++;
    const { events, watermark, horizon } = inspection;
    const { counts, damages } = world.faults;
    // A block that could not be read while the log was recovered counts as damaged.
    const isWhole = damages.length === 0 && !counts.has("readError");
    const lostAbove = isWhole ? Number.POSITIVE_INFINITY : this.#attestation.lsn;
    const mayBeGone = (lsn: number, incarnation: number): boolean => this.#attestation.mayBeGone(lsn, incarnation);
    if (engine) this.#database.check(events, watermark);
    this.#counts.kept += this.#history.check(events, watermark, { lostAbove, horizon, mayBeGone }).unacknowledged;
    return inspection;
  }
}
