/**
 * What a manifest says of a store that is encrypted: which keys it has, by number, and how each is known again.
 *
 * The check of a key is derived from it and from the store's id: it tells a wrong key from a right one, and nothing of the key. Numbers rise
 * and are not given twice. `plainThrough` is 0 but while a store that was not encrypted is turned into one: frames up to that LSN may be
 * plain, and any other plain frame was put there by somebody who has no key. `mac` is an HMAC-SHA256 of the rest of it, by a key that is derived
 * of the newest one: nobody else can say that a store has plain frames.
 */

export const STORE_CIPHER = "aes-256-gcm";

export interface StoreKeyEntry {
  readonly id: number;
  /** 32 hexadecimal digits. */
  readonly check: string;
  /**
   * 160 hexadecimal digits: a salt, and encrypted by a key that is derived with it, the secret that the leaves of the hash chain begin with. It
   * is the same for all keys of a store. Null for a store that was not encrypted once: its chain goes on as it began.
   */
  readonly pepper: string | null;
}

export interface StoreEncryption {
  readonly cipher: typeof STORE_CIPHER;
  /** The highest number that a key of this store has had. */
  readonly lastKeyId: number;
  /** In ascending order: those by which anything in the store may be encrypted. */
  readonly keys: readonly StoreKeyEntry[];
  readonly plainThrough: number;
  /** 64 hexadecimal digits. */
  readonly mac: string;
}

/** What the mac is made of. */
export type UnsignedEncryption = Omit<StoreEncryption, "mac">;

/** The bytes that the mac covers. */
export function signedBytes({ cipher, lastKeyId, keys, plainThrough }: UnsignedEncryption): Buffer {
  return Buffer.from(
    JSON.stringify([cipher, lastKeyId, keys.map(({ id, check, pepper }) => [id, check, pepper]), plainThrough]),
  );
}

const KEY_ID_MAX = 0xffff_ffff;

function isKeyEntry(value: unknown): value is StoreKeyEntry {
  if (typeof value !== "object" || value === null) return false;
  const { id, check, pepper } = value as Partial<Record<keyof StoreKeyEntry, unknown>>;
  if (pepper !== null && !(typeof pepper === "string" && /^[0-9a-f]{160}$/.test(pepper))) return false;
  return isCount(id, 1) && typeof check === "string" && /^[0-9a-f]{32}$/.test(check);
}

function isCount(value: unknown, min: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= min;
}

/** Whether a manifest's field can be one, of the cipher that is known. */
export function isStoreEncryption(value: unknown): value is StoreEncryption {
  if (typeof value !== "object" || value === null) return false;
  const { cipher, lastKeyId, keys, plainThrough, mac } = value as Partial<Record<keyof StoreEncryption, unknown>>;
  if (cipher !== STORE_CIPHER || !isCount(lastKeyId, 1) || lastKeyId > KEY_ID_MAX || !isCount(plainThrough, 0)) {
    return false;
  }
  if (typeof mac !== "string" || !/^[0-9a-f]{64}$/.test(mac)) return false;
  if (!Array.isArray(keys) || keys.length === 0 || !keys.every(isKeyEntry)) return false;
  return keys.every(({ id }, index) => id > (keys[index - 1]?.id ?? 0) && id <= lastKeyId);
}

/** The key under the next number. */
export function withKey(encryption: StoreEncryption | undefined, key: Omit<StoreKeyEntry, "id">): UnsignedEncryption {
  const { keys = [], lastKeyId = 0, plainThrough = 0 } = encryption ?? {};
  const id = lastKeyId + 1;
  return { cipher: STORE_CIPHER, lastKeyId: id, keys: [...keys, { id, ...key }], plainThrough };
}
