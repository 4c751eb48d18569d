/** The life of a process that only reads, beside writers or without any: what it sees must be true, and stay so. */

import type { ReaderOptions, StoreReader } from "../../src/index.js";
import { isStoreError } from "../../src/index.js";
import { SAYS_DAMAGED, thrownBy } from "./caller.js";
import { type Chance, chance } from "./chance.js";
import { seenEvent } from "./read-log.js";
import type { SessionPlace } from "./session.js";
import type { SimulatedProcess } from "./simulated-process.js";
import { Violation } from "./violation.js";

const ROUNDS_MAX = 8;
const PAUSE_MS_MAX = 25;
const FOLLOWED_MAX = 20;
/** Longer than a subscriber takes, and than two looks of its own. */
const TOLD_MS = 600;
const UNTOLD_MAX = 4;

export class ReaderSession {
  readonly process: SimulatedProcess;
  readonly #openReader: (directory: string, options: ReaderOptions) => Promise<StoreReader>;
  readonly #place: SessionPlace;
  readonly #chance: Chance;
  #lastWatermark = 0;

  constructor(place: SessionPlace, realm: number, name: string) {
    const { process, varve } = place.world.start(realm, name);
    this.process = process;
    this.#openReader = varve.openReader;
    this.#place = place;
    this.#chance = chance(place.world.seed, `reader ${name}`);
  }

  async run(): Promise<void> {
    const rounds = 1 + this.#chance.integer(ROUNDS_MAX);
    for (let round = 0; round < rounds; round++) {
      await this.process.sleep(this.#chance.next() * PAUSE_MS_MAX);
      try {
        await this.#read();
      } catch (error) {
        if (error instanceof Violation) throw error;
        if (!isStoreError(error)) throw thrownBy("openReader", error);
        if (SAYS_DAMAGED.has(error.code)) this.#place.onCorrupt(error);
      }
    }
    this.process.exit();
  }

  async #read(): Promise<void> {
    const { directory, keyring } = this.#place;
    const reader = await this.#openReader(directory, keyring.options(this.process));
    try {
      await this.#readOn(reader);
      if (this.#place.plan.subjects > 0) await this.#follow(reader);
      for (let looks = this.#chance.integer(4); looks > 0; looks--) {
        await this.process.sleep(this.#chance.next() * PAUSE_MS_MAX);
        await reader.refresh();
        await this.#readOn(reader);
      }
    } finally {
      await reader.close();
    }
  }

  /** A slow subscriber: what it comes to may have been forgotten since it was read from the disk. */
  async #follow(reader: StoreReader): Promise<void> {
    let left = 1 + this.#chance.integer(FOLLOWED_MAX);
    const { watermark } = reader;
    const ending = new AbortController();
    const following = async (): Promise<void> => {
      for await (const event of reader.subscribe({ after: Math.max(0, watermark - left), signal: ending.signal })) {
        this.#place.history.see(seenEvent(event));
        if (--left <= 0 || event.lsn >= watermark) return;
        await this.process.sleep(this.#chance.next() * PAUSE_MS_MAX);
      }
    };
    if (!this.#place.plan.isDamaging) return following();
    let hasEnded = false;
    const followed = following().finally(() => {
      hasEnded = true;
    });
    followed.catch(() => {}); // it is waited for below
    const waiting = this.#untilToldOrWell(reader, () => hasEnded).catch((error: unknown) => {
      ending.abort();
      throw error;
    });
    if (await waiting) return followed;
    ending.abort();
    await followed.catch((error: unknown) => {
      if (isStoreError(error)) throw error;
    });
  }

  /** Whoever listens to a log must hear what whoever looks is told. True: it has ended by itself. */
  async #untilToldOrWell(reader: StoreReader, hasEnded: () => boolean): Promise<boolean> {
    for (let untold = 0; !hasEnded(); ) {
      await this.process.sleep(TOLD_MS);
      if (hasEnded()) break;
      try {
        await reader.refresh();
        return false;
      } catch (error) {
        if (!isStoreError(error)) throw thrownBy("refresh", error);
        if (error.code !== "ERR_IO_FAILED" && ++untold >= UNTOLD_MAX) {
          throw new Violation(`a subscription waits behind what a look is told: ${error.message}`, { cause: error });
        }
      }
    }
    return true;
  }

  async #readOn(reader: StoreReader): Promise<void> {
    const { watermark, horizon } = reader;
    const after = Math.max(horizon, Math.min(this.#lastWatermark, watermark) - this.#chance.integer(30));
    let lastLsn = after;
    for await (const event of reader.readAll({ after: Math.max(0, after) })) {
      if (event.lsn <= lastLsn) throw new Error(`a reader: LSN ${event.lsn} after ${lastLsn}`);
      if (event.lsn > reader.watermark) throw new Error(`a reader: LSN ${event.lsn} above W ${reader.watermark}`);
      lastLsn = event.lsn;
      this.#place.history.see(seenEvent(event));
    }
    this.#lastWatermark = watermark;
  }
}
