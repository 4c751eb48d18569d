/** The life of one writer's process: it opens the store, calls it, closes it or not, and may begin again. */

import type { BackupReport, ProjectionRunner, RecordedEvent, Store } from "../../src/index.js";
import { isStoreError, type StoreErrorCode } from "../../src/index.js";
import { Caller, SAYS_DAMAGED, thrownBy } from "./caller.js";
import { type Chance, chance } from "./chance.js";
import { EngineCaller, type EngineCounts } from "./engine-caller.js";
import type { History } from "./history.js";
import type { Keyring } from "./keyring.js";
import { seenEvent } from "./read-log.js";
import type { SeedPlan } from "./seed-plan.js";
import type { SimulatedProcess } from "./simulated-process.js";
import type { SinkDatabase } from "./sink-database.js";
import { type Sums, sums } from "./sums.js";
import type { World } from "./world.js";

const OPEN_TRIES_MAX = 60;
const RETRY_MS = 40;
const CALLERS_MAX = 3;
const CLOCK_SKEW_US = 3_600_000_000;
const TOUCHES_MAX = 3000;

/** Others are in the way, for a while. */
const TRY_AGAIN: ReadonlySet<string> = new Set<StoreErrorCode>([
  "ERR_STORE_BUSY",
  "ERR_STORE_LOCKED",
  "ERR_STORE_WRITERS",
  "ERR_WAL_FAILED",
  "ERR_WAL_FULL",
  "ERR_IO_FAILED",
]);

export interface SessionPlace {
  readonly world: World;
  readonly history: History;
  readonly plan: SeedPlan;
  readonly directory: string;
  readonly keyring: Keyring;
  /** The store refuses: what is durable is damaged. Whether that is for good. */
  readonly onRefusal: (error: Error & { readonly code: string }) => boolean;
  /** Something cannot be read. */
  readonly onCorrupt: (error: Error & { readonly code: string }) => void;
  readonly onOpened: (row: string) => void;
  /** Of the sink in seeds with read models. */
  readonly database: SinkDatabase;
  readonly engineCounts: EngineCounts;
  readonly onRotated: () => void;
  readonly onBackedUp: (directory: string, report: BackupReport) => void;
}

export class Session {
  readonly process: SimulatedProcess;
  readonly #openStore: (directory: string, options: object) => Promise<Store>;
  readonly #place: SessionPlace;
  readonly #chance: Chance;
  readonly #name: string;
  #openings = 0;

  constructor(place: SessionPlace, realm: number, name: string) {
    const { world, plan } = place;
    const { process, varve } = world.start(realm, name);
    this.process = process;
    this.#openStore = varve.openStore;
    this.#place = place;
    this.#chance = chance(world.seed, `session ${name}`);
    this.#name = name;
    if (plan.clockSkew) process.wallOffsetUs = Math.round((this.#chance.next() - 0.5) * CLOCK_SKEW_US);
    if (this.#chance.happens(plan.deaths)) this.#planDeath();
  }

  /** At a moment, or in the middle of what it does to shared memory. */
  #planDeath(): void {
    if (this.#chance.integer(2) === 0) this.process.touchesLeft = 1 + this.#chance.integer(TOUCHES_MAX);
    else this.process.plan(this.#chance.integer(120_000), () => this.process.kill());
  }

  async run(): Promise<void> {
    const { plan } = this.#place;
    await this.process.sleep(this.#chance.next() * 10);
    for (;;) {
      const store = await this.#open();
      if (store === null) break;
      await this.#use(store, plan);
      if (this.#chance.integer(4) === 0) break; // without closing
      await this.#close(store);
      if (this.#chance.integer(3) > 0) break;
    }
    this.process.exit();
  }

  async #open(): Promise<Store | null> {
    const { plan, directory, keyring, onRefusal, onOpened } = this.#place;
    for (let tries = 0; tries < OPEN_TRIES_MAX; tries++) {
      try {
        const store = await this.#openStore(directory, {
          segmentBytes: plan.segmentBytes,
          busyWaitMs: plan.busyWaitMs,
          exclusive: plan.writers === 1 && this.#chance.integer(4) === 0,
          flushIntervalMs: 1 + this.#chance.integer(10),
          ...keyring.options(this.process),
        });
        onOpened(store.recovery.row);
        return store;
      } catch (error) {
        if (!isStoreError(error)) throw thrownBy("openStore", error);
        if (!TRY_AGAIN.has(error.code) && onRefusal(error)) return null;
      }
      await this.process.sleep(RETRY_MS);
    }
    return null;
  }

  async #use(store: Store, plan: SeedPlan): Promise<void> {
    const { history, keyring, onCorrupt, onRotated, onBackedUp } = this.#place;
    const life = `${this.#name}-${this.#openings++}`;
    const subscription = this.#chance.integer(3) === 0 ? this.#subscribe(store) : null;
    let running: ProjectionRunner<Sums, RecordedEvent> | null = null;
    if (plan.hasProjections) {
      await this.#tolerate("project", async () => {
        running = await store.project(sums, { checkpointEveryEvents: 40 });
      });
    }
    const callers = Array.from({ length: 1 + this.#chance.integer(CALLERS_MAX) }, (_, caller) => {
      const name = `${life}-${caller}`;
      const random = chance(this.#place.world.seed, `caller ${name}`);
      const parts = { history, chance: random, name, plan, keyring, onCorrupt, onRotated, onBackedUp };
      return new Caller(this.process, store, parts).run();
    });
    if (plan.engineSteps > 0) {
      const { database, engineCounts: counts, world } = this.#place;
      const random = chance(world.seed, `engine ${life}`);
      const parts = { chance: random, steps: plan.engineSteps, database, counts, onCorrupt };
      callers.push(new EngineCaller(this.process, store, running, parts).run());
    }
    await Promise.all(callers);
    void subscription;
  }

  /** Sees each event once, in order, until the store closes. */
  async #subscribe(store: Store): Promise<void> {
    const { history } = this.#place;
    let lastLsn = Math.max(store.horizon, store.watermark - this.#chance.integer(50));
    await this.#tolerate("subscribe", async () => {
      for await (const event of store.subscribe({ after: lastLsn })) {
        if (event.lsn <= lastLsn) throw new Error(`subscription: LSN ${event.lsn} after ${lastLsn}`);
        if (event.lsn > store.watermark) throw new Error(`subscription: LSN ${event.lsn} above W ${store.watermark}`);
        lastLsn = event.lsn;
        history.see(seenEvent(event));
      }
    });
  }

  async #close(store: Store): Promise<void> {
    await this.#tolerate("close", () => store.close());
  }

  async #tolerate(what: string, run: () => Promise<unknown>): Promise<void> {
    try {
      await run();
    } catch (error) {
      if (!isStoreError(error)) throw thrownBy(what, error);
      if (SAYS_DAMAGED.has(error.code)) this.#place.onCorrupt(error);
    }
  }
}
