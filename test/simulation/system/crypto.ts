/** node:crypto of a simulated process: what is random comes from the seed. */

import { createHash, hash } from "node:crypto";
import { realmOf } from "../realms.js";

const realm = realmOf(import.meta.url);

export { createHash, hash };

export function randomFillSync<Bytes extends Uint8Array>(bytes: Bytes): Bytes {
  for (let index = 0; index < bytes.length; index++) bytes[index] = realm.process.chance.integer(256);
  return bytes;
}

export function randomBytes(count: number): Buffer {
  return randomFillSync(Buffer.alloc(count));
}
