/** node:crypto of a simulated process: what is random comes from the seed. */

import { realmOf } from "../realms.js";

const realm = realmOf(import.meta.url);

export {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  hash,
  KeyObject,
  sign,
  timingSafeEqual,
  verify,
} from "node:crypto";

export function randomFillSync<Bytes extends Uint8Array>(bytes: Bytes): Bytes {
  for (let index = 0; index < bytes.length; index++) bytes[index] = realm.process.chance.integer(256);
  return bytes;
}

export function randomBytes(count: number): Buffer {
  return randomFillSync(Buffer.alloc(count));
}
