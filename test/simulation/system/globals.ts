/** The timers and clocks of a simulated process, in the place of the global ones. */

import { ProcessTimers } from "../process-timers.js";
import { realmOf } from "../realms.js";

const realm = realmOf(import.meta.url);
const timers = new ProcessTimers(realm);

export const { setTimeout, setInterval, setImmediate } = timers;
export const clearTimeout = timers.clear;
export const clearInterval = timers.clear;
export const clearImmediate = timers.clear;

/** Each access is a moment at which a process can die with others left in its shared memory. */
const ProcessAtomics = {
  load: <Words extends Int32Array | BigInt64Array>(words: Words, index: number): Words[number] =>
    words[index] as Words[number],
  store: (
    words: (Int32Array | BigInt64Array) & { [index: number]: unknown },
    index: number,
    value: number | bigint,
  ) => {
    realm.process.touch();
    words[index] = value;
    realm.process.touch();
    return value;
  },
  add: (words: Int32Array, index: number, value: number): number => {
    realm.process.touch();
    return globalThis.Atomics.add(words, index, value);
  },
  compareExchange: (
    words: Int32Array & BigInt64Array,
    index: number,
    expected: never,
    value: never,
  ): number | bigint => {
    realm.process.touch();
    const before = globalThis.Atomics.compareExchange(words, index, expected, value);
    realm.process.touch();
    return before;
  },
};

export const performance = { now: (): number => realm.process.nowUs / 1000 };

const RealDate = globalThis.Date;

class SimulatedDate extends RealDate {
  static override now(): number {
    return Math.floor(realm.process.wallUs / 1000);
  }
}

export { ProcessAtomics as Atomics, SimulatedDate as Date };

export const process = {
  get pid(): number {
    return realm.process.pid;
  },
  arch: "x64",
  emitWarning: (): void => {},
};
