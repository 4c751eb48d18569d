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

/** Version 4, as RFC 9562 has it. */
export function randomUUID(): string {
  const bytes = randomBytes(16);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
