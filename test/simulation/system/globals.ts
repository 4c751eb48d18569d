/** The timers and clocks of a simulated process, in the place of the global ones. */

import { realmOf } from "../realms.js";
import { ProcessTimers } from "../process-timers.js";

const realm = realmOf(import.meta.url);
const timers = new ProcessTimers(realm);

export const { setTimeout, setInterval, setImmediate } = timers;
export const clearTimeout = timers.clear;
export const clearInterval = timers.clear;
export const clearImmediate = timers.clear;

export const performance = { now: (): number => realm.process.nowUs / 1000 };

const RealDate = globalThis.Date;

class SimulatedDate extends RealDate {
  static override now(): number {
    return Math.floor(realm.process.wallUs / 1000);
  }
}

export { SimulatedDate as Date };

export const process = {
  get pid(): number {
    return realm.process.pid;
  },
  arch: "x64",
  emitWarning: (): void => {},
};
