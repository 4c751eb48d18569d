/** Starting a thread of a simulated process. It begins and ends some time after it was asked to. */

import { type Realm, realmNamed } from "./realms.js";

const START_US = 2000;
const MESSAGE_US_MAX = 200;

export interface Listeners {
  readonly message: ((value: unknown) => void)[];
  readonly error: ((value: unknown) => void)[];
  readonly exit: ((value: unknown) => void)[];
}

const entries = new Map<string, () => Promise<void>>();

export function setThreadEntry(realm: Realm, entry: () => Promise<void>): void {
  entries.set(realm.name, entry);
}

export function startThread(parent: Realm, workerData: unknown, listeners: Listeners): void {
  const { process } = parent;
  const realm = realmNamed(`${parent.name}w`);
  const entry = entries.get(realm.name);
  if (entry === undefined) throw new Error(`the modules of realm ${realm.name} are not loaded`);
  const tell = (heard: readonly ((value: unknown) => void)[], value: unknown): void => {
    for (const listener of heard) listener(value);
  };
  const later = (run: () => void): void => void process.plan(1 + process.chance.integer(MESSAGE_US_MAX), run);
  process.plan(START_US, () => {
    const postMessage = (message: unknown): void => {
      const copy = structuredClone(message);
      later(() => tell(listeners.message, copy));
    };
    realm.thread = { workerData, postMessage };
    const ended = (): void => void process.plan(2 * MESSAGE_US_MAX, () => tell(listeners.exit, 0));
    entry().then(ended, (error: unknown) => {
      later(() => tell(listeners.error, error));
      ended();
    });
  });
}
