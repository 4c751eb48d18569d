/** Who vouches for an anchor: Ed25519, by Node's crypto. anchor.ts says what is signed. */

import { createPrivateKey, createPublicKey, KeyObject, sign, verify } from "node:crypto";
import { StoreError } from "../../errors.js";
import { type Anchor, signedBytesOf } from "./anchor.js";

/** An Ed25519 key, or its PEM. */
export type Ed25519Key = KeyObject | string;

const KEY_TYPE = "ed25519";

function keyOf(
  value: unknown,
  type: "private" | "public",
  option: string,
  parse: (pem: string) => KeyObject,
): KeyObject {
  const wanted = `option ${option} must be an Ed25519 ${type} key, as a KeyObject or in PEM`;
  if (typeof value !== "string" && !(value instanceof KeyObject)) throw new TypeError(wanted);
  let key: KeyObject;
  try {
    key = typeof value === "string" ? parse(value) : value;
  } catch (error) {
    throw new TypeError(wanted, { cause: error });
  }
  if (key.type !== type || key.asymmetricKeyType !== KEY_TYPE) throw new TypeError(wanted);
  return key;
}

/** @throws TypeError naming the option */
export function signingKey(value: unknown): KeyObject {
  return keyOf(value, "private", "signWith", createPrivateKey);
}

/** @throws TypeError naming the option */
export function verifyingKey(value: unknown): KeyObject {
  return keyOf(value, "public", "publicKey", createPublicKey);
}

/** The 32 bytes of a public key in base64. Node has them only in the alphabet of URLs. */
function rawKeyOf(key: KeyObject): string {
  return Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url").toString("base64");
}

function keyOfRaw(raw: string): KeyObject {
  const x = Buffer.from(raw, "base64").toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}

/** The anchor with a signature by that private key. */
export function signedAnchor(anchor: Anchor, key: KeyObject): Anchor {
  const signature = sign(null, signedBytesOf(anchor), key).toString("base64");
  return { ...anchor, signature, publicKey: rawKeyOf(createPublicKey(key)) };
}

/**
 * Checks the signature: by the key that is given, or else by the one that the anchor names, which shows only that nobody has changed it without
 * signing it anew.
 *
 * @throws StoreError `ERR_ANCHOR_SIGNATURE`
 */
export function checkSignature(anchor: Anchor, publicKey: KeyObject | null): void {
  const { signature, publicKey: named, lsn } = anchor;
  if (signature === undefined || named === undefined) {
    if (publicKey === null) return;
    throw refused("the anchor is not signed", "unsigned", lsn);
  }
  if (publicKey !== null && rawKeyOf(publicKey) !== named)
    throw refused("the anchor is signed by another key than the one that was given", "other-key", lsn);
  if (!holds(anchor, signature, publicKey ?? keyOfRaw(named)))
    throw refused("the anchor's signature does not hold: somebody has changed it", "broken", lsn);
}

/** A raw key that is no point of the curve is an error of OpenSSL's, and vouches for nothing. */
function holds(anchor: Anchor, signature: string, key: KeyObject): boolean {
  try {
    return verify(null, signedBytesOf(anchor), key, Buffer.from(signature, "base64"));
  } catch {
    return false;
  }
}

function refused(message: string, reason: string, lsn: number): StoreError {
  return new StoreError("ERR_ANCHOR_SIGNATURE", message, { reason, lsn });
}
