/** Whether what a manifest's line of JSON holds can be a manifest at all: a checksum says only that somebody wrote it so. */

import { isStoreEncryption, STORE_CIPHER } from "./crypt/store-encryption.js";
import type { LsnRange } from "./lsn-ranges.js";
import type { BackupMark, Incarnation, Manifest } from "./manifest.js";
import type { SealedEntry } from "./sealed/sealed-entry.js";
import { CORES_MAX } from "./segment-name.js";

type Fields = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isInteger(value: unknown, min: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= min;
}

function isListOf<Item>(value: unknown, isItem: (item: unknown) => item is Item): value is readonly Item[] {
  return Array.isArray(value) && value.every(isItem);
}

function isRange(value: unknown): value is LsnRange {
  return Array.isArray(value) && value.length === 2 && isInteger(value[0], 1) && isInteger(value[1], value[0]);
}

function isSegmentNumber(value: unknown): value is number {
  return isInteger(value, 1);
}

function isIncarnation(value: unknown): value is Incarnation {
  if (!isObject(value)) return false;
  const { incarnation, firstLsn, lastLsn, firstSegments, voids } = value;
  if (!isInteger(incarnation, 1) || !isInteger(firstLsn, 1)) return false;
  if (lastLsn !== null && !isInteger(lastLsn, firstLsn - 1)) return false;
  if (!isListOf(firstSegments, isSegmentNumber) || firstSegments.length > CORES_MAX) return false;
  if (!isListOf(voids, isRange)) return false;
  return voids.every(
    ([from, through], index) =>
      from > (voids[index - 1]?.[1] ?? firstLsn - 1) && (lastLsn === null || through <= lastLsn),
  );
}

function isSealedEntry(value: unknown): value is SealedEntry {
  if (!isObject(value)) return false;
  const { number, firstLsn, lastLsn, byteLength, hash } = value;
  if (!isInteger(number, 1) || !isInteger(firstLsn, 1) || !isInteger(lastLsn, firstLsn)) return false;
  return isInteger(byteLength, 1) && typeof hash === "string";
}

function isBackupMark(value: unknown): value is BackupMark | undefined {
  return value === undefined || (isObject(value) && isInteger(value["takenAt"], Number.MIN_SAFE_INTEGER));
}

/** Each incarnation goes on where the one before ended, in files of its own. */
function follows(before: Incarnation, next: Incarnation): boolean {
  if (before.lastLsn === null || next.incarnation <= before.incarnation || next.firstLsn < before.firstLsn)
    return false;
  if (next.lastLsn !== null && next.lastLsn < before.lastLsn) return false;
  const end = before.voids.at(-1);
  const from = next.voids[0];
  if (end !== undefined && from !== undefined && from[0] <= end[1]) return false;
  return before.firstSegments.every((first, core) => first <= (next.firstSegments[core] ?? 1));
}

/** The manifest that these fields are, or null when they cannot be one. */
export function manifestOf(fields: unknown): Manifest | null {
  if (!isObject(fields)) return null;
  const { sequence, storeId, createdAt, checkpointLsn, horizonLsn = 0, sealed, incarnations } = fields;
  const { backup, encryption } = fields;
  if (!isInteger(sequence, 1) || !isInteger(createdAt, Number.MIN_SAFE_INTEGER)) return null;
  if (typeof storeId !== "string" || !/^[0-9a-f]{32}$/.test(storeId)) return null;
  if (!isInteger(checkpointLsn, 0) || !isListOf(sealed, isSealedEntry) || !isListOf(incarnations, isIncarnation)) {
    return null;
  }
  if (!isBackupMark(backup)) return null;
  if (encryption !== undefined && !isStoreEncryption(encryption)) return null;
  const areSealedInOrder = sealed.every(
    (entry, index) => entry.firstLsn > (sealed[index - 1]?.lastLsn ?? 0) && entry.lastLsn <= checkpointLsn,
  );
  const areIncarnationsInOrder = incarnations.every((next, index) => {
    const before = incarnations[index - 1];
    return before === undefined || follows(before, next);
  });
  if (!areSealedInOrder || !areIncarnationsInOrder) return null;
  if (!isInteger(horizonLsn, 0)) return null;
  if (horizonLsn > 0 && !sealed.some((entry) => entry.lastLsn === horizonLsn)) return null;
  const manifest = { sequence, storeId, createdAt, checkpointLsn, horizonLsn, sealed, incarnations };
  return { ...manifest, ...(backup !== undefined && { backup }), ...(encryption !== undefined && { encryption }) };
}

/** Whether what it says of encryption is of a newer version. */
export function namesUnknownCipher(fields: unknown): boolean {
  if (!isObject(fields) || !isObject(fields["encryption"])) return false;
  const { cipher } = fields["encryption"];
  return typeof cipher === "string" && cipher !== STORE_CIPHER;
}

/** The fields of a manifest of version 1, of one core and without checkpoints, as version 2 says the same. */
export function upgradedFromVersion1(fields: unknown): unknown {
  if (!isObject(fields) || !Array.isArray(fields["incarnations"])) return null;
  const incarnations = fields["incarnations"].map((entry: unknown) => {
    if (!isObject(entry)) return null;
    const { firstSegment, ...others } = entry;
    return { ...others, firstSegments: [firstSegment], voids: [] };
  });
  return { ...fields, checkpointLsn: 0, sealed: [], incarnations };
}
