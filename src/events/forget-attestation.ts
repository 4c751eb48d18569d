/**
 * What the store hands out when it has forgotten a subject: that the keys with these ids were destroyed, in which store, and since when. It says
 * nothing of whom: so it can be kept, and it is what tells a restored store of what was forgotten since its backup was made.
 */

import { createPrivateKey, createPublicKey, type KeyLike, KeyObject, sign, verify } from "node:crypto";
import { checkOptionNames } from "../wal/index.js";
import type { Forgetting } from "./subjects.js";

/** That a subject's keys were destroyed. Plain data. */
export interface ForgetAttestation extends Forgetting {
  /** 32 hexadecimal digits. */
  readonly storeId: string;
  /** Ed25519, in base64, of the other fields; absent where no key was given to sign with. */
  readonly signature?: string;
}

/** How a subject is forgotten. */
export interface ForgetOptions {
  /** An Ed25519 private key, as a `KeyObject` or in PEM: the attestation is signed by it. */
  readonly attestationKey?: KeyObject | string | Buffer;
}

const PURPOSE = "varve forget attestation 1";

/** Null: none was given. @throws TypeError */
export function checkedAttestationKey(options: ForgetOptions): KeyObject | null {
  checkOptionNames(options, ["attestationKey"], "forget");
  const { attestationKey } = options;
  return attestationKey === undefined ? null : ed25519(attestationKey, "option attestationKey", "private");
}

function ed25519(given: unknown, name: string, type: "private" | "public"): KeyObject {
  const problem = `${name} must be an Ed25519 ${type} key, as a KeyObject or in PEM`;
  let key: KeyObject;
  try {
    const make = type === "private" ? createPrivateKey : createPublicKey;
    key = given instanceof KeyObject ? given : make(given as KeyLike as string);
  } catch (cause) {
    throw new TypeError(problem, { cause });
  }
  if (key.type !== type || key.asymmetricKeyType !== "ed25519") throw new TypeError(problem);
  return key;
}

/** What is signed: the same bytes whatever order the fields are in. */
function signedBytes({ storeId, keyIds, lsn, forgottenAt }: ForgetAttestation): Buffer {
  return Buffer.from(JSON.stringify([PURPOSE, storeId, keyIds, lsn, forgottenAt]));
}

export function attest(storeId: string, forgetting: Forgetting, key: KeyObject | null): ForgetAttestation {
  const { keyIds, lsn, forgottenAt } = forgetting;
  const attestation = { storeId, keyIds, lsn, forgottenAt };
  if (key === null) return attestation;
  return { ...attestation, signature: sign(null, signedBytes(attestation), key).toString("base64") };
}

/** Whether a value can be an attestation, by its shape. */
export function isForgetAttestation(value: unknown): value is ForgetAttestation {
  if (typeof value !== "object" || value === null) return false;
  const { storeId, keyIds, lsn, forgottenAt, signature } = value as Partial<Record<keyof ForgetAttestation, unknown>>;
  const isId = (id: unknown): boolean => typeof id === "string" && /^[0-9a-f]{32}$/.test(id);
  if (!isId(storeId) || !Array.isArray(keyIds) || !keyIds.every(isId)) return false;
  return (
    Number.isSafeInteger(lsn) && Number.isSafeInteger(forgottenAt) && ["undefined", "string"].includes(typeof signature)
  );
}

/**
 * Whether an attestation was signed by the owner of this key, and is what it was then. One without a signature was not.
 *
 * @param publicKey Ed25519, as a `KeyObject` or in PEM
 * @throws TypeError for what is no such key
 *
 * @example
 * ```ts
 * const attestation = await store.forget("person-7", { attestationKey: readFileSync("attest.pem") });
 * console.log(verifyForgetAttestation(attestation, readFileSync("attest.pub.pem")));
 * ```
 */
export function verifyForgetAttestation(
  attestation: ForgetAttestation,
  publicKey: KeyObject | string | Buffer,
): boolean {
  const key = ed25519(publicKey, "publicKey", "public");
  if (!isForgetAttestation(attestation) || attestation.signature === undefined) return false;
  return verify(null, signedBytes(attestation), key, Buffer.from(attestation.signature, "base64"));
}
