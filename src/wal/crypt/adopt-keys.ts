/** Whether the keys that were given are those that a manifest asks for. */

import { StoreError } from "../../errors.js";
import type { Manifest } from "../manifest.js";
import type { StoreEncryption } from "./store-encryption.js";
import type { StoreKeys } from "./store-keys.js";

const ALL_LSNS = Number.MAX_SAFE_INTEGER;

/**
 * Has the keys learn from the manifest which of them is which.
 *
 * @throws StoreError `ERR_KEY_MISSING` for a store that is encrypted, without its keys; `ERR_KEY_WRONG` for keys of another store, or of one
 *   that is not encrypted
 */
export function adoptKeys(
  keys: StoreKeys | null,
  { encryption, storeId }: Pick<Manifest, "encryption" | "storeId">,
  directory: string,
): void {
  const id = Buffer.from(storeId, "hex");
  if (encryption !== undefined && keys !== null) keys.adopt(id, encryption);
  else if (keys?.turnsPlain === true) keys.adopt(id, allPlain(keys, id));
  else if (encryption !== undefined) {
    throw new StoreError("ERR_KEY_MISSING", `the store in ${directory} is encrypted: its key is needed`, { directory });
  } else if (keys !== null) {
    const message = `the store in ${directory} is not encrypted, and takes no key; 'varve rekey' encrypts it`;
    throw new StoreError("ERR_KEY_WRONG", message, { directory });
  }
}

/**
 * The manifest that names the key which is current: the same where it does already. `lastLsn` is that of the log, for one that names none yet:
 * what comes later is encrypted.
 */
export function withCurrentKey(manifest: Manifest, keys: StoreKeys | null, lastLsn = 0): Manifest {
  if (keys === null) return manifest;
  const named = withNamedKey(manifest, keys);
  if (manifest.encryption !== undefined || named.encryption === undefined) return named;
  const encryption = keys.signed(Buffer.from(manifest.storeId, "hex"), { ...named.encryption, plainThrough: lastLsn });
  return { ...named, encryption };
}

/** What a manifest would say of a store that is about to be encrypted. */
function allPlain(keys: StoreKeys, storeId: Uint8Array): StoreEncryption {
  return keys.signed(storeId, { ...keys.entered(storeId, undefined), plainThrough: ALL_LSNS });
}

/** The same for the key in a slot of the ring. */
export function withNamedKey(manifest: Manifest, keys: StoreKeys, slot?: number): Manifest {
  const encryption = keys.entered(Buffer.from(manifest.storeId, "hex"), manifest.encryption, slot);
  return encryption === manifest.encryption ? manifest : { ...manifest, encryption };
}
