/** The choice of I/O: there is one on a simulated machine. */

import type { IoDemand } from "../../../src/ffi/index.js";
import { realmOf } from "../realms.js";
import { SimulatedIo } from "../simulated-io.js";

const realm = realmOf(import.meta.url);

export type { IoDemand };

export function openIo(): SimulatedIo {
  realm.process.assertAlive();
  return new SimulatedIo(realm.process);
}

export function fileSystemName(): string {
  return "simulated";
}

export function isNetworkFileSystem(): boolean {
  return false;
}
