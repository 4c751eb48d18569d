/**
 * An anchor: the value of the hash chain at one LSN, to be kept outside of the store. Who has it can tell later whether a store still has
 * that very history: the value is over all frames up to there, and nobody finds another history with the same one.
 *
 * It is an object of strings and numbers, as it is printed in JSON:
 *
 *     version    1
 *     storeId    32 hexadecimal digits
 *     lsn        the last LSN that was sealed; 0: an empty store
 *     hash       64 hexadecimal digits, the chain's value behind that LSN (sealed-format.ts); zeros at LSN 0
 *     at         when it was made, in µs since 1970
 *     signature  base64 of 64 bytes: Ed25519 over the bytes below. With `publicKey`, or neither is there
 *     publicKey  base64 of 32 bytes, the raw key (RFC 8032). Not signed: it says whom to ask, and proves nothing by itself
 *
 * What is signed, 80 bytes, little-endian, so that no two anchors have the same and no other program's bytes are one:
 *
 *     offset  bytes  field
 *          0     16  "varve anchor 1" and two zeros
 *         16     16  store id
 *         32      8  lsn
 *         40     32  hash
 *         72      8  at, two's complement
 */

import { StoreError } from "../../errors.js";
import { CHAIN_START } from "../sealed/hash-chain.js";

export const ANCHOR_VERSION = 1;
export const SIGNATURE_BYTES = 64;
export const PUBLIC_KEY_BYTES = 32;

const MAGIC = "varve anchor 1";
const SIGNED_BYTES = 80;
const FIELDS = ["version", "storeId", "lsn", "hash", "at", "signature", "publicKey"];

/** The head of a store's hash chain at one moment, as plain data: keep it where who can write the store cannot. */
export interface Anchor {
  readonly version: typeof ANCHOR_VERSION;
  /** 32 hexadecimal digits. */
  readonly storeId: string;
  /** The last LSN that was sealed; 0 for an empty store. */
  readonly lsn: number;
  /** 64 hexadecimal digits: the value of the hash chain behind that LSN. */
  readonly hash: string;
  /** When it was made, in µs since 1970, by the clock of who made it. */
  readonly at: number;
  /** Base64 of an Ed25519 signature over the other fields; absent where none was asked for. */
  readonly signature?: string;
  /** Base64 of the raw public key that the signature is said to be by. */
  readonly publicKey?: string;
}

/** What of an anchor is signed. */
export function signedBytesOf({ storeId, lsn, hash, at }: Anchor): Buffer {
  const bytes = Buffer.alloc(SIGNED_BYTES);
  bytes.write(MAGIC, 0, "latin1");
  bytes.write(storeId, 16, "hex");
  bytes.writeBigUInt64LE(BigInt(lsn), 32);
  bytes.write(hash, 40, "hex");
  bytes.writeBigInt64LE(BigInt(at), 72);
  return bytes;
}

function isHex(value: unknown, byteLength: number): boolean {
  return typeof value === "string" && value.length === 2 * byteLength && /^[0-9a-f]*$/.test(value);
}

/** In the one spelling that these bytes have. */
function isBase64(value: unknown, byteLength: number): boolean {
  if (typeof value !== "string") return false;
  const bytes = Buffer.from(value, "base64");
  return bytes.length === byteLength && bytes.toString("base64") === value;
}

function invalid(what: string, field: string): StoreError {
  return new StoreError("ERR_ANCHOR_INVALID", `this is no anchor: ${what}`, { field });
}

/**
 * The anchor that a value from outside is. It is taken to the letter: what is not known is not passed over, for it is not signed.
 *
 * @throws StoreError `ERR_ANCHOR_INVALID` naming the field
 */
export function parseAnchor(value: unknown): Anchor {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid("it is no object", "");
  const fields = value as Readonly<Record<string, unknown>>;
  const { version, storeId, lsn, hash, at, signature, publicKey } = fields;
  if (version !== ANCHOR_VERSION) throw invalid(`its version is ${String(version)}, and this reads 1`, "version");
  const unknown = Object.keys(fields).find((name) => !FIELDS.includes(name));
  if (unknown !== undefined) throw invalid(`it has a field ${JSON.stringify(unknown)}`, unknown);
  if (!isHex(storeId, 16)) throw invalid("storeId must be 32 hexadecimal digits", "storeId");
  if (!Number.isSafeInteger(lsn) || (lsn as number) < 0) throw invalid("lsn must be a whole number", "lsn");
  if (!isHex(hash, 32)) throw invalid("hash must be 64 hexadecimal digits", "hash");
  if (lsn === 0 && hash !== CHAIN_START) throw invalid("before LSN 1 the hash is 0", "hash");
  if (!Number.isSafeInteger(at)) throw invalid("at must be µs since 1970", "at");
  if (signature !== undefined && !isBase64(signature, SIGNATURE_BYTES))
    throw invalid(`signature must be base64 of ${SIGNATURE_BYTES} bytes`, "signature");
  if (publicKey !== undefined && !isBase64(publicKey, PUBLIC_KEY_BYTES))
    throw invalid(`publicKey must be base64 of ${PUBLIC_KEY_BYTES} bytes`, "publicKey");
  if ((signature === undefined) !== (publicKey === undefined))
    throw invalid("signature and publicKey go together", signature === undefined ? "signature" : "publicKey");
  return value as Anchor;
}
