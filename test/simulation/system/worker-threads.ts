/** node:worker_threads of a simulated process: a thread runs as a coroutine, with the modules of the realm's other half. */

import { realmOf } from "../realms.js";
import { type Listeners, startThread } from "../start-thread.js";

const realm = realmOf(import.meta.url);

export const isMainThread = !realm.name.endsWith("w");

/** Of the thread that runs now; a live binding, as the module of a thread reads it when it begins. */
export let parentPort: { readonly postMessage: (message: unknown) => void } | null = null;
export let workerData: unknown = null;

/** Before the entry of a thread is called. */
export function beginThread(): void {
  workerData = realm.thread?.workerData;
  parentPort = realm.thread;
}

export class Worker {
  readonly #listeners: Listeners = { message: [], error: [], exit: [] };

  constructor(_module: URL, options: { readonly workerData: unknown }) {
    startThread(realm, structuredClone(options.workerData), this.#listeners);
  }

  once(event: keyof Listeners, listener: (value: never) => void): void {
    this.#listeners[event].push(listener as (value: unknown) => void);
  }
}
