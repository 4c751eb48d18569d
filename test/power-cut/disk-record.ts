/**
 * What a disk could hold after a power cut, from the record of its writes and flushes (recording-disk.c says how that looks).
 *
 * What was written before the last flush is there. Of what was written since, anything can be: all, none, some of the writes, and of a
 * write its first sectors only. Pure: the record comes in, states go out.
 */

import type { SeededRandom } from "../support/seeded-random.js";

const ENTRY_HEAD_BYTES = 24;
const SECTOR_BYTES = 512;
const SUPERBLOCK_END = 4096;

export type DiskEntry =
  | { readonly kind: "write"; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: "flush" }
  | { readonly kind: "mark"; readonly text: string };

/** Whole entries only: the record is complete when its disk says so. */
export function decodeRecord(record: Buffer): DiskEntry[] {
  const entries: DiskEntry[] = [];
  for (let at = 0; at < record.length; ) {
    const kind = String.fromCharCode(record.readUInt8(at));
    const offset = Number(record.readBigUInt64LE(at + 8));
    const end = at + ENTRY_HEAD_BYTES + Number(record.readBigUInt64LE(at + 16));
    if (end > record.length) throw new Error("the record ends in the middle of an entry");
    const bytes = record.subarray(at + ENTRY_HEAD_BYTES, end);
    if (kind === "W") entries.push({ kind: "write", offset, bytes });
    else if (kind === "F") entries.push({ kind: "flush" });
    else if (kind === "M") entries.push({ kind: "mark", text: bytes.toString() });
    else throw new Error(`the record has an entry "${kind}"`);
    at = end;
  }
  return entries;
}

export const CUT_KINDS = ["all", "none", "some", "torn", "someTorn"] as const;
export type CutKind = (typeof CUT_KINDS)[number];

export interface Cut {
  /** The power was cut before this entry. */
  readonly at: number;
  readonly kind: CutKind;
}

/** The moments that differ: before each write and after the last entry; what was flushed, acknowledged or is under way changes there. */
export function allCuts(entries: readonly DiskEntry[]): Cut[] {
  const cuts: Cut[] = [];
  let pendingCount = 0;
  for (const [index, entry] of [...entries, null].entries()) {
    // Behind a mark or a flush: with a write nothing is promised that was not before it.
    const before = entries[index - 1]?.kind;
    if (entry === null || entry.kind === "write" || before === "write") {
      const kinds = pendingCount === 0 ? (["all"] as const) : CUT_KINDS;
      for (const kind of kinds) cuts.push({ at: index, kind });
    }
    if (entry?.kind === "flush") pendingCount = 0;
    if (entry?.kind === "write") pendingCount++;
  }
  return cuts;
}

/** So many of the cuts, in their order; all of them where there are no more. */
export function someCuts(cuts: readonly Cut[], count: number, random: SeededRandom): readonly Cut[] {
  const left = [...cuts.keys()];
  const chosen: number[] = [];
  while (chosen.length < count && left.length > 0) {
    const at = random.integer(left.length);
    chosen.push(left[at] as number);
    left[at] = left.at(-1) as number;
    left.pop();
  }
  return chosen.sort((a, b) => a - b).map((index) => cuts[index] as Cut);
}

export interface DiskWrite {
  readonly offset: number;
  readonly bytes: Buffer;
}

/** The entry behind the last flush before the cut: what was written before it is on the disk. */
export function flushedBefore(entries: readonly DiskEntry[], at: number): number {
  return entries.slice(0, at).findLastIndex(({ kind }) => kind === "flush") + 1;
}

/** The writes since the last flush that have reached the disk, whole or in part. */
export function survivors(entries: readonly DiskEntry[], { at, kind }: Cut, random: SeededRandom): DiskWrite[] {
  const pending = entries.slice(flushedBefore(entries, at), at).filter((entry) => entry.kind === "write");
  const isSome = kind === "some" || kind === "someTorn";
  const kept: DiskWrite[] = kind === "none" ? [] : pending.filter(() => !isSome || random.integer(2) === 0);
  if (kind === "torn") kept.splice(-1, 1, ...kept.slice(-1).map((write) => torn(write, random)));
  return kind === "someTorn" ? kept.map((write) => (random.integer(2) === 0 ? torn(write, random) : write)) : kept;
}

/** The first sectors of a write, not all of them. Not of a file system's own first block, which it counts on being written whole. */
function torn({ offset, bytes }: DiskWrite, random: SeededRandom): DiskWrite {
  if (offset < SUPERBLOCK_END) return { offset, bytes };
  return { offset, bytes: bytes.subarray(0, random.integer(Math.ceil(bytes.length / SECTOR_BYTES)) * SECTOR_BYTES) };
}
