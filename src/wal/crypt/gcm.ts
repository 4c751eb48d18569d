/**
 * AES-256-GCM, by Node's crypto, and the one place where anything is encrypted.
 *
 * A pair of key and nonce must never be used twice: with GCM that would give away both plaintexts and the key of the tags. Every key here is
 * derived for one file with a random salt, and the nonce is where in that file the ciphertext lies; no place of a file is encrypted twice. The
 * keys of subjects live longer than a file: what they encrypt has a random nonce of 96 bits each, which is safe for 2^32 events of one subject.
 * Tests hear of each pair through the channel `varve:nonce`.
 */

import { createCipheriv, createDecipheriv, createHash } from "node:crypto";
import { channel } from "node:diagnostics_channel";
import { assert } from "../../assert.js";
import { KEY_BYTES } from "./hkdf.js";

const CIPHER = "aes-256-gcm";
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;
const TAG_OPTIONS = { authTagLength: TAG_BYTES };
const TWO_TO_32 = 0x1_0000_0000;

/** Of `varve:nonce`. The fingerprint is a hash of the key, which says nothing of it. */
export interface UsedNonce {
  readonly keyFingerprint: string;
  readonly nonce: string;
}

const nonceChannel = channel("varve:nonce");
const nonce = Buffer.alloc(NONCE_BYTES);

/** The nonce of a place: u64 position, u32 zero. Valid until the next call. */
function nonceOf(position: number): Buffer {
  nonce.writeUInt32LE(position % TWO_TO_32, 0);
  nonce.writeUInt32LE(Math.floor(position / TWO_TO_32), 4);
  return nonce;
}

function tell(key: Buffer, used: Buffer): void {
  const keyFingerprint = createHash("sha256").update(key).digest("hex");
  nonceChannel.publish({ keyFingerprint, nonce: used.toString("hex") } satisfies UsedNonce);
}

/** Encrypts `bytes` in place and writes the tag. `position` is used once with this key. */
export function encryptInPlace(
  key: Buffer,
  position: number,
  aad: Uint8Array,
  bytes: Uint8Array,
  tag: Uint8Array,
): void {
  encryptWithNonce(key, nonceOf(position), aad, bytes, tag);
}

/** As `encryptInPlace`, with a nonce that the caller has drawn at random for this. */
export function encryptWithNonce(key: Buffer, used: Buffer, aad: Uint8Array, bytes: Uint8Array, tag: Uint8Array): void {
  assert(key.length === KEY_BYTES && tag.length === TAG_BYTES, "a key and a place for the tag");
  const cipher = createCipheriv(CIPHER, key, used, TAG_OPTIONS);
  if (nonceChannel.hasSubscribers) tell(key, used);
  cipher.setAAD(aad);
  if (bytes.length > 0) bytes.set(cipher.update(bytes));
  cipher.final(); // frees the expanded key as well
  tag.set(cipher.getAuthTag());
}

/** The plain bytes, or null when the tag does not hold. */
export function decrypt(
  key: Buffer,
  position: number,
  aad: Uint8Array,
  bytes: Uint8Array,
  tag: Uint8Array,
): Buffer | null {
  return decryptWithNonce(key, nonceOf(position), aad, bytes, tag);
}

/** What `encryptWithNonce` has encrypted; null when the tag does not hold. */
export function decryptWithNonce(
  key: Buffer,
  used: Uint8Array,
  aad: Uint8Array,
  bytes: Uint8Array,
  tag: Uint8Array,
): Buffer | null {
  const decipher = createDecipheriv(CIPHER, key, used, TAG_OPTIONS);
  decipher.setAAD(aad);
  decipher.setAuthTag(tag);
  const plain = decipher.update(bytes);
  try {
    decipher.final();
    return plain;
  } catch {
    plain.fill(0);
    return null;
  }
}
