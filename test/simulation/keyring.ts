/** The keys of one seed's store: a few, which its processes go over to at random. Whoever opens it is given all. */

import type { EncryptionOptions, KeySource } from "../../src/index.js";
import { chance } from "./chance.js";
import type { SimulatedProcess } from "./simulated-process.js";

const KEY_BYTES = 32;
const KEY_COUNT = 5;
/** As long as a key service may take. */
const ANSWER_MS_MAX = 3;

export class Keyring {
  readonly #seed: number;
  /** Whether the store is encrypted, or about to be. */
  isUsed: boolean;
  /** Where the file of subject keys lies, apart from the store. */
  readonly #subjectKeys: string | null;

  constructor(seed: number, isUsed: boolean, subjectKeys: string | null = null) {
    this.#seed = seed;
    this.isUsed = isUsed;
    this.#subjectKeys = subjectKeys;
  }

  get hasSubjects(): boolean {
    return this.#subjectKeys !== null;
  }

  /** One of the keys, given at once or later. What is given is zeroed, so each time it is made again. */
  key(process: SimulatedProcess, number: number): KeySource {
    const make = (): Uint8Array => {
      const random = chance(this.#seed, `key ${number % KEY_COUNT}`);
      return Uint8Array.from({ length: KEY_BYTES }, () => random.integer(256));
    };
    if (process.chance.integer(2) === 0) return make;
    return async () => {
      await process.sleep(process.chance.next() * ANSWER_MS_MAX);
      return make();
    };
  }

  anyKey(process: SimulatedProcess): KeySource {
    return this.key(process, process.chance.integer(KEY_COUNT));
  }

  /** Options of whoever opens the store: none where it is not encrypted. With `alone` there is no other key. */
  options(
    process: SimulatedProcess,
    first: number = this.isUsed ? process.chance.integer(KEY_COUNT) : 0,
    alone = false,
  ): { readonly encryption?: EncryptionOptions } {
    if (!this.isUsed) return {};
    const key = this.key(process, first);
    const others = Array.from({ length: KEY_COUNT - 1 }, (_, index) => this.key(process, first + 1 + index));
    const subjects = this.#subjectKeys === null ? {} : { subjectKeys: this.#subjectKeys };
    return { encryption: { key, otherKeys: alone ? [] : others, ...subjects } };
  }
}
