/**
 * HKDF-SHA256 (RFC 5869) whose input and output lie in secret memory.
 *
 * Node's own hkdf makes a key object of its input, which the collector frees when it likes. Here the key is only read where it lies, and
 * what a hash leaves on V8's heap is zeroed at once.
 */

import { createHmac } from "node:crypto";

export const KEY_BYTES = 32;
const HASH = "sha256";
const FIRST_BLOCK = Buffer.of(1);

/** Replaces `target` by HMAC-SHA256; what `target` held may be the key. */
function hmacInto(target: Buffer, key: Uint8Array, ...parts: readonly Uint8Array[]): void {
  const hmac = createHmac(HASH, key);
  for (const part of parts) hmac.update(part);
  const digest = hmac.digest();
  target.set(digest);
  digest.fill(0);
}

/** Fills `target`, 32 bytes of secret memory, with the key that is derived of `key` for a purpose. */
export function deriveKey(target: Buffer, key: Buffer, salt: Uint8Array, info: Uint8Array): void {
  hmacInto(target, salt, key); // extract
  hmacInto(target, target, info, FIRST_BLOCK); // expand: one block is all that is needed
}
