/** node:timers/promises of a simulated process. */

import { realmOf } from "../realms.js";

const realm = realmOf(import.meta.url);
const TURN_MS = 0.005;

export function setTimeout<Value>(ms: number, value?: Value): Promise<Value | undefined> {
  return realm.process.sleep(Math.max(1, ms)).then(() => value);
}

export function setImmediate<Value>(value?: Value): Promise<Value | undefined> {
  return realm.process.sleep(TURN_MS).then(() => value);
}
