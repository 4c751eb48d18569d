/**
 * Copies of the store's modules, one for each process that a simulation has at once.
 *
 * A module that is loaded as `…/src/wal/wal.js?realm=2` is the one that the build made, but for what it imports: `realm-hooks.ts` leads its
 * imports to modules of the same realm, those of the system (files, timers, threads, memory) to `system/`, and puts the realm's timers and
 * clocks in the place of the global ones. So production code has nothing in it that knows of tests, and each call tells by its module which
 * process makes it. A realm with `w` behind its number is that of the same process' worker threads.
 */

import { register } from "node:module";
import type { WorkerThread } from "./seal-thread.js";
import type { SimulatedProcess } from "./simulated-process.js";

export interface Realm {
  readonly name: string;
  /** Who runs in it now. */
  process: SimulatedProcess;
  /** Of a worker's realm, the thread that runs in it now. */
  thread: WorkerThread | null;
}

/** What a simulation uses of the store. */
export type Varve = Pick<
  typeof import("../../src/index.js"),
  "openStore" | "openReader" | "rekeyStore" | "repairStore" | "restoreStore"
>;

const realms = new Map<string, Realm>();
const loaded = new Map<number, Varve>();
let isRegistered = false;

/** Of a module, by its URL. */
export function realmOf(url: string): Realm {
  return realmNamed(new URL(url).searchParams.get("realm") ?? "");
}

export function realmNamed(name: string): Realm {
  const realm = realms.get(name);
  if (realm === undefined) throw new Error(`there is no realm "${name}"`);
  return realm;
}

/** Whose modules they are from now on. The one before is dead. */
export function enterRealm(number: number, process: SimulatedProcess): void {
  for (const name of [`${number}`, `${number}w`]) {
    const realm = realms.get(name);
    if (realm === undefined) realms.set(name, { name, process, thread: null });
    else realm.process = process;
  }
}

/** Loads the store for realms: before a simulation begins, for loading takes time that is not simulated. */
export async function loadRealms(count: number, process: SimulatedProcess): Promise<void> {
  if (!isRegistered) register(new URL("realm-hooks.js", import.meta.url));
  isRegistered = true;
  for (let number = 0; number < count; number++) {
    if (loaded.has(number)) continue;
    enterRealm(number, process);
    await import(new URL(`system/seal-thread-entry.js?realm=${number}w`, import.meta.url).href);
    const varve = (await import(new URL(`../../src/index.js?realm=${number}`, import.meta.url).href)) as Varve;
    loaded.set(number, varve);
  }
}

export function varveOf(number: number): Varve {
  const varve = loaded.get(number);
  if (varve === undefined) throw new Error(`realm ${number} was not loaded`);
  return varve;
}
