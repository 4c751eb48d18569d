/** A part of a sealed segment as `varve inspect` prints it. */

import type { SealedItem } from "../wal/index.js";
import { formatInstant } from "./instant.js";

type Block = Extract<SealedItem, { readonly kind: "block" }>;

export function isSealedDamage(item: SealedItem): boolean {
  return item.kind === "damaged" || item.kind === "unsupported" || (item.kind === "block" && item.damage !== null);
}

/** One object for each part, and one for each run behind its block. */
export function printableParts(item: SealedItem): readonly object[] {
  switch (item.kind) {
    case "sealed-preamble": {
      const { storeId, hashBefore } = item.preamble;
      return [{ ...item, preamble: { ...item.preamble, storeId: hex(storeId), hashBefore: hex(hashBefore) } }];
    }
    case "trailer": {
      const { storeId, hash, hashBefore } = item.trailer;
      const { secret, ...trailer } = item.trailer;
      const hashes = { storeId: hex(storeId), hash: hex(hash), hashBefore: hex(hashBefore) };
      const shown = { ...trailer, ...hashes, keyId: secret?.keyId ?? 0 };
      return [{ ...item, trailer: shown }];
    }
    case "block": {
      const { runs, ...block } = item;
      const { sealed: _, ...header } = item.header;
      return [{ ...block, header }, ...runs.map((run) => ({ kind: "run", blockOffset: item.fileOffset, run }))];
    }
    default:
      return [item];
  }
}

/** The same in one line each, runs indented below their block. */
export function formatParts(item: SealedItem): string {
  const offset = String(item.fileOffset).padStart(10);
  switch (item.kind) {
    case "sealed-preamble": {
      const { storeId, number, firstLsn, hashBefore } = item.preamble;
      return `${offset}  preamble  sealed segment ${number}, store ${hex(storeId)}, from LSN ${firstLsn}, hash before ${hex(hashBefore)}`;
    }
    case "block":
      return [formatBlock(item, offset), ...item.runs.map(formatRun)].join("\n");
    case "page": {
      const { kind, page, entryCount, nextPage } = item.header;
      const next = nextPage === 0xffff_ffff ? "" : `, goes on in page ${nextPage}`;
      return `${offset}  page      ${kind} ${page}, ${entryCount} entries${next}`;
    }
    case "name-filter":
      return `${offset}  filter    ${item.byteLength} bytes`;
    case "lsn-root":
      return `${offset}  root      ${item.byteLength} bytes`;
    case "trailer": {
      const { firstLsn, lastLsn, recordCount, removedCount, voidCount, streamCount, hash } = item.trailer;
      const { lowestRecordedAt, highestRecordedAt } = item.trailer;
      const times = `${formatInstant(lowestRecordedAt)} to ${formatInstant(highestRecordedAt)}`;
      return `${offset}  trailer   LSN ${firstLsn}…${lastLsn}, ${recordCount} records of ${streamCount} streams, ${removedCount} removed, ${voidCount} void, ${times}, hash ${hex(hash)}`;
    }
    case "damaged":
      return `${offset}  DAMAGED   ${item.byteLength} bytes that are no ${item.part}`;
    case "unsupported":
      return `${offset}  UNSUPPORTED  ${item.reason}`;
  }
}

function formatBlock({ header, damage }: Block, offset: string): string {
  const { firstLsn, lastLsn, runCount, storedBytes, plainBytes, compression, keyId } = header;
  const size = compression === 0 ? `${storedBytes} bytes` : `${storedBytes} bytes, deflated from ${plainBytes}`;
  const trouble = damage === null ? "" : `  DAMAGED: ${damage}`;
  const secret = keyId === 0 ? "" : `, encrypted with key ${keyId}: runs and tag not checked`;
  return `${offset}  block     LSN ${firstLsn}…${lastLsn}, ${runCount} runs, ${size}${secret}${trouble}`;
}

function formatRun({
  kind,
  firstLsn,
  recordCount,
  recordedAt,
  byteLength,
  leaf,
  goesOn,
}: Block["runs"][number]): string {
  const more = `${leaf === null ? "" : ", leaf kept"}${goesOn ? ", its frame goes on" : ""}`;
  return `${" ".repeat(12)}  ${kind.padEnd(8)}  LSN ${firstLsn}…${firstLsn + recordCount - 1}, ${byteLength} bytes, ${formatInstant(recordedAt)}${more}`;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
