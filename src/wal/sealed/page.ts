/** Pages of a sealed segment's indexes: header, content, CRC. sealed-format.ts has the layout. */

import { TAG_BYTES } from "../crypt/gcm.js";
import { readU64, writeU64 } from "./number-fields.js";
import { type SealedPlace, sealedDamage } from "./sealed-damage.js";
import { isPageSealed, PAGE_BYTES, sealPage } from "./sealed-format.js";
import type { SegmentCipher } from "./segment-cipher.js";

export const PAGE_HEADER_BYTES = 24;
export const PAGE_CONTENT_END: number = PAGE_BYTES - 4;
/** With a cipher its tag follows the content. */
const ENCRYPTED_CONTENT_END: number = PAGE_CONTENT_END - TAG_BYTES;
export const NO_PAGE = 0xffff_ffff;

const PAGE_MAGICS = { lsns: 0x4c565256, names: 0x4e565256, postings: 0x4f565256 } as const; // "VRVL", "VRVN", "VRVO"
export type PageKind = keyof typeof PAGE_MAGICS;

export interface PageHeader {
  readonly kind: PageKind;
  readonly page: number;
  readonly number: number;
  readonly entryCount: number;
  readonly contentEnd: number;
  readonly nextPage: number;
}

/** Writes the header, zeros behind the content, and the CRC. */
export function finishPage(target: Buffer, header: PageHeader, storeCrc: number): void {
  target.writeUInt32LE(PAGE_MAGICS[header.kind], 0);
  target.writeUInt32LE(header.page, 4);
  writeU64(target, 8, header.number);
  target.writeUInt16LE(header.entryCount, 16);
  target.writeUInt16LE(header.contentEnd, 18);
  target.writeUInt32LE(header.nextPage, 20);
  target.fill(0, header.contentEnd, PAGE_CONTENT_END);
  sealPage(target, storeCrc);
}

/** Where the content of stream pages must have ended. */
export function contentEndOf(isEncrypted: boolean): number {
  return isEncrypted ? ENCRYPTED_CONTENT_END : PAGE_CONTENT_END;
}

/** Encrypts the content of a finished page, which is to lie at that offset of its file. */
export function encryptPage(page: Buffer, cipher: SegmentCipher, fileOffset: number, storeCrc: number): void {
  const header = page.subarray(0, PAGE_HEADER_BYTES);
  const content = page.subarray(PAGE_HEADER_BYTES, ENCRYPTED_CONTENT_END);
  page.set(cipher.encrypt(fileOffset, header, content), ENCRYPTED_CONTENT_END);
  sealPage(page, storeCrc);
}

/**
 * Puts the content of a page that was checked in its place.
 *
 * @throws StoreError `ERR_WAL_TAMPERED`
 */
export function decryptPage(page: Buffer, header: PageHeader, cipher: SegmentCipher, place: SealedPlace): void {
  if (header.contentEnd > ENCRYPTED_CONTENT_END) throw sealedDamage(place, "a page with too much in it");
  const covered = page.subarray(0, PAGE_HEADER_BYTES);
  const content = page.subarray(PAGE_HEADER_BYTES, ENCRYPTED_CONTENT_END);
  const tag = page.subarray(ENCRYPTED_CONTENT_END, PAGE_CONTENT_END);
  page.set(cipher.decrypt(place, covered, content, tag), PAGE_HEADER_BYTES);
}

/** The header of a whole page that was written for this place, or null. */
export function checkPage(
  source: Buffer,
  kind: PageKind,
  page: number,
  number: number,
  storeCrc: number,
): PageHeader | null {
  if (!isPageSealed(source, storeCrc)) return null;
  const header = {
    kind,
    page: source.readUInt32LE(4),
    number: readU64(source, 8),
    entryCount: source.readUInt16LE(16),
    contentEnd: source.readUInt16LE(18),
    nextPage: source.readUInt32LE(20),
  };
  const isHere = source.readUInt32LE(0) === PAGE_MAGICS[kind] && header.page === page && header.number === number;
  return isHere && header.contentEnd >= PAGE_HEADER_BYTES && header.contentEnd <= PAGE_CONTENT_END ? header : null;
}
