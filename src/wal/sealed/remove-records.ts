/** Takes records out of a frame; pure. What is left keeps its LSNs, and the frame its leaf. */

import { assert } from "../../assert.js";
import { checksum } from "../checksum.js";
import type { StoreKeys } from "../crypt/store-keys.js";
import { RECORD_HEADER_BYTES } from "../format.js";
import type { KeyOf } from "../record-key.js";
import { leafOf } from "./hash-chain.js";
import type { RemovalRules } from "./removal.js";
import type { SealedRun } from "./sealed-format.js";
import type { RemovedRecord } from "./sealed-writer.js";

const NO_BYTES = Buffer.alloc(0);

export interface FrameLoss {
  readonly runs: readonly SealedRun[];
  /** Records that were there before, in order. */
  readonly removed: readonly RemovedRecord[];
  readonly isSomethingLeft: boolean;
}

/** What of one run is left: its records' places, those that go as null. */
interface KeptRecords {
  readonly ranges: readonly (readonly [start: number, end: number] | null)[];
  readonly isSomethingLeft: boolean;
}

/** The frame, given as its runs, without the records that the rules take. The same runs when they take none. */
export function withoutRemoved(
  frame: readonly SealedRun[],
  rules: RemovalRules,
  keyOf: KeyOf,
  keys: StoreKeys | null,
): FrameLoss {
  const removed: RemovedRecord[] = [];
  const kept = frame.map((run) => keptOf(run, rules, keyOf, removed));
  const isSomethingLeft = kept.some((run) => run.isSomethingLeft);
  if (removed.length === 0) return { runs: frame, removed, isSomethingLeft };
  const leaf = leafOf(frame, keys);
  let crc = 0;
  const runs = frame.map((run, index): SealedRun => {
    const { ranges, isSomethingLeft: isLeft } = kept[index] as KeptRecords;
    if (!isLeft) return { ...run, kind: "removed", body: NO_BYTES, leaf };
    const body = bodyOf(run, ranges, crc);
    crc = body.crc;
    return { ...run, body: body.bytes, leaf };
  });
  return { runs, removed, isSomethingLeft };
}

function keptOf(run: SealedRun, rules: RemovalRules, keyOf: KeyOf, removed: RemovedRecord[]): KeptRecords {
  const { kind, body, header } = run;
  if (kind !== "data") return { ranges: [], isSomethingLeft: false };
  const ranges: (readonly [number, number] | null)[] = [];
  let at = 0;
  let isSomethingLeft = false;
  for (let index = 0; index < header.recordCount; index++) {
    const start = at + RECORD_HEADER_BYTES;
    assert(start <= body.length, "a block that holds its CRC has whole records");
    at = start + body.readUInt32LE(start - RECORD_HEADER_BYTES);
    const lsn = header.firstLsn + index;
    if (at === start) {
      ranges.push(null); // removed before
      continue;
    }
    const key = keyOf(body, start, at);
    if (rules.isRemoved(body, key, lsn)) {
      const { nameStart, nameEnd, version } = key;
      removed.push({ bytes: body, nameStart, nameEnd, version, lsn });
      ranges.push(null);
    } else {
      isSomethingLeft = true;
      ranges.push([start, at]);
    }
  }
  return { ranges, isSomethingLeft };
}

/** The records that are kept, with nothing in the places of the others. The checksums are chained through the runs of a frame. */
function bodyOf(run: SealedRun, ranges: KeptRecords["ranges"], crcBefore: number): { bytes: Buffer; crc: number } {
  const byteLength = ranges.reduce(
    (sum, range) => sum + RECORD_HEADER_BYTES + (range === null ? 0 : range[1] - range[0]),
    0,
  );
  const bytes = Buffer.allocUnsafe(byteLength);
  let crc = crcBefore;
  let at = 0;
  for (const range of ranges) {
    const [start, end] = range ?? [0, 0];
    const body = at + RECORD_HEADER_BYTES;
    run.body.copy(bytes, body, start, end);
    crc = checksum(bytes, body, body + end - start, crc);
    bytes.writeUInt32LE(end - start, at);
    bytes.writeUInt32LE(crc, at + 4);
    at = body + end - start;
  }
  return { bytes, crc };
}
