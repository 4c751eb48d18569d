/**
 * What is to be removed of the sealed log, as data that can be sent to a thread; and which records that are.
 *
 * Every rule takes a stream's records from its first one up to some point, so what is left of a stream has no hole. Names are written as latin1:
 * every byte a character.
 */

import { assert } from "../../assert.js";
import type { RecordKey } from "../record-key.js";

/** Up to where a stream's records go; either bound alone is enough. */
export interface Cut {
  readonly beforeVersion: number;
  readonly throughLsn: number;
}

/** All streams whose names begin so lose their records up to that LSN. */
export interface PrefixCut {
  readonly prefix: string;
  readonly throughLsn: number;
}

export interface Removal {
  /** By name. */
  readonly streams: ReadonlyMap<string, Cut>;
  readonly prefixes: readonly PrefixCut[];
  /** Streams whose names begin so lose nothing; null: there are none such. */
  readonly sparedPrefix: string | null;
}

export class RemovalRules {
  readonly #streams: ReadonlyMap<string, Cut>;
  /** Length of the prefix → prefix → LSN: a look-up for each length, however many prefixes there are. */
  readonly #prefixes = new Map<number, Map<string, number>>();
  readonly #sparedPrefix: string | null;

  constructor({ streams, prefixes, sparedPrefix }: Removal) {
    this.#streams = streams;
    this.#sparedPrefix = sparedPrefix;
    for (const { prefix, throughLsn } of prefixes) {
      const ofLength = this.#prefixes.get(prefix.length) ?? new Map<string, number>();
      this.#prefixes.set(prefix.length, ofLength);
      ofLength.set(prefix, Math.max(throughLsn, ofLength.get(prefix) ?? 0));
    }
  }

  /** Up to where the records of the stream with that name go. */
  cutOf(bytes: Buffer, start: number, end: number): Cut {
    const name = bytes.toString("latin1", start, end);
    if (this.#sparedPrefix !== null && name.startsWith(this.#sparedPrefix)) return NOTHING;
    const cut = this.#streams.get(name) ?? NOTHING;
    let { throughLsn } = cut;
    for (const [length, ofLength] of this.#prefixes) {
      const found = ofLength.get(length === 0 ? "" : name.slice(0, length));
      if (found !== undefined && found > throughLsn) throughLsn = found;
    }
    return throughLsn === cut.throughLsn ? cut : { beforeVersion: cut.beforeVersion, throughLsn };
  }

  isRemoved(bytes: Buffer, { nameStart, nameEnd, version }: RecordKey, lsn: number): boolean {
    const { beforeVersion, throughLsn } = this.cutOf(bytes, nameStart, nameEnd);
    return version < beforeVersion || lsn <= throughLsn;
  }
}

const NOTHING: Cut = { beforeVersion: 0, throughLsn: 0 };

/** Everything up to that LSN, but for the streams whose names begin so. */
export function removalThrough(lsn: number, sparedPrefix: string): Removal {
  assert(sparedPrefix !== "", "something is removed");
  return { streams: new Map(), prefixes: [{ prefix: "", throughLsn: lsn }], sparedPrefix };
}
