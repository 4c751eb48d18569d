/** Encryption of the log's frames: which key a segment has, and what of a frame the tag covers. format.ts has the layout. */

import { StoreError } from "../../errors.js";
import {
  FRAME_AAD_BYTES,
  FRAME_HEADER_BYTES,
  FRAME_SALT_AT,
  FRAME_TAG_AT,
  type FrameHeader,
  type FramePlace,
  SALT_BYTES,
} from "../format.js";
import { decrypt, encryptInPlace, TAG_BYTES } from "./gcm.js";
import { FileKey, type StoreKeys } from "./store-keys.js";

const PURPOSE = Buffer.from("varve wal segment 1");
const PLACE_BYTES = 16 + 2 + 8 + 8;

export type SegmentPlace = Omit<FramePlace, "fileOffset">;

/** The key of a segment: of no other segment, store or incarnation, nor of a file with the same name that was made once more. */
export function segmentKey(place: SegmentPlace, keyId: number, salt: Uint8Array): FileKey {
  const info = Buffer.alloc(PURPOSE.length + PLACE_BYTES);
  info.set(PURPOSE);
  info.set(place.storeId, PURPOSE.length);
  info.writeUInt16LE(place.core, PURPOSE.length + 16);
  info.writeBigUInt64LE(BigInt(place.incarnation), PURPOSE.length + 18);
  info.writeBigUInt64LE(BigInt(place.segment), PURPOSE.length + 26);
  return new FileKey(keyId, salt, info);
}

/** Encrypts the body of a frame in place, and writes the tag. Of its header everything before the tag is there. */
export function encryptFrame(keys: StoreKeys, key: FileKey, frame: Buffer, end: number, fileOffset: number): void {
  const aad = frame.subarray(0, FRAME_AAD_BYTES);
  const tag = frame.subarray(FRAME_TAG_AT, FRAME_TAG_AT + TAG_BYTES);
  encryptInPlace(keys.bytesOf(key), fileOffset, aad, frame.subarray(FRAME_HEADER_BYTES, end), tag);
}

interface KnownKey {
  readonly incarnation: number;
  readonly segment: number;
  readonly key: FileKey;
}

/** A frame as it lies in the log, and as it is read. */
interface AnyFrame {
  readonly header: FrameHeader;
  readonly body: Buffer;
}

/**
 * Opens frames that are valid, so that their bodies are records. Without keys only those that are not encrypted.
 *
 * What does not hold its tag, or is plain where everything is encrypted, was not written by a writer of this store: that is told and
 * never taken for a torn end.
 */
export class FrameOpener {
  readonly #keys: StoreKeys | null;
  /** By core: the key of the segment that was read last. */
  readonly #known = new Map<number, KnownKey>();

  constructor(keys: StoreKeys | null) {
    this.#keys = keys;
  }

  /** @throws StoreError `ERR_WAL_TAMPERED`, `ERR_KEY_MISSING` */
  open<Frame extends AnyFrame>(frame: Frame): Frame | AnyFrame {
    const { header } = frame;
    if (header.sealed === undefined) {
      if (this.#keys !== null) this.#assertMayBePlain(header, this.#keys);
      return frame;
    }
    const { keyId, fileOffset } = header;
    if (this.#keys === null) {
      const message = `the store's manifest names no keys, and ${placeOf(header)} is encrypted with key ${keyId}`;
      throw new StoreError("ERR_KEY_MISSING", message, { keyId });
    }
    const key = this.#keys.bytesOf(this.#keyOf(header, header.sealed));
    const aad = header.sealed.subarray(0, FRAME_AAD_BYTES);
    const tag = header.sealed.subarray(FRAME_TAG_AT, FRAME_TAG_AT + TAG_BYTES);
    const body = decrypt(key, fileOffset, aad, frame.body, tag);
    if (body === null) throw tampered(header, "does not hold its authentication tag");
    return { header, body };
  }

  #assertMayBePlain(header: FrameHeader, keys: StoreKeys): void {
    const lastLsn = header.firstLsn + header.recordCount - 1;
    if (lastLsn > (keys.encryption?.plainThrough ?? 0)) throw tampered(header, "is not encrypted");
  }

  #keyOf(header: FrameHeader, sealed: Buffer): FileKey {
    const { core, incarnation, segment, keyId } = header;
    const salt = sealed.subarray(FRAME_SALT_AT, FRAME_SALT_AT + SALT_BYTES);
    const known = this.#known.get(core);
    const isKnown = known?.segment === segment && known.incarnation === incarnation && known.key.keyId === keyId;
    if (isKnown && salt.equals(known.key.salt)) return known.key;
    const key = segmentKey(header, keyId, Buffer.from(salt));
    this.#known.set(core, { incarnation, segment, key });
    return key;
  }
}

function placeOf({ core, segment, fileOffset }: FrameHeader): string {
  return `the frame at ${fileOffset} of segment ${segment} of core ${core}`;
}

function tampered(header: FrameHeader, what: string): StoreError {
  const { core, segment, fileOffset: offset, firstLsn, keyId } = header;
  const message = `${placeOf(header)} is whole, but ${what}: it was not written by this store (LSN ${firstLsn})`;
  return new StoreError("ERR_WAL_TAMPERED", message, { core, segment, offset, lsn: firstLsn, keyId });
}
