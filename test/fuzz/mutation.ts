/** Damage to a store's files: one change of bytes, sizes or names, made and taken back in place. */

import { closeSync, ftruncateSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { SeededRandom } from "../support/seeded-random.js";
import type { FuzzStore } from "./fuzz-store.js";

export const MUTATION_KINDS = [
  "bit",
  "zeroed block",
  "swapped blocks",
  "duplicated block",
  "truncated",
  "longer",
  "removed",
  "older copy",
  "swapped files",
  "forged",
] as const;
export type MutationKind = (typeof MUTATION_KINDS)[number];

export type FileChange =
  | { readonly file: string; readonly kind: "bytes"; readonly offset: number; readonly bytes: Buffer }
  /** The file's new content; null: it is gone. */
  | { readonly file: string; readonly kind: "content"; readonly bytes: Buffer | null };

export interface Mutation {
  readonly kind: MutationKind;
  /** Names the damage well enough to make it again. */
  readonly label: string;
  readonly changes: readonly FileChange[];
}

export const FUZZ_BLOCK_BYTES = 512;
/** Of bytes that are all zero one bit of each so many is flipped. */
const ZERO_LINE_BYTES = 64;
const PARTNERS = 2;

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}

function bitFlip(file: string, bytes: Buffer, offset: number, bit: number): Mutation {
  const change = Buffer.of((bytes[offset] as number) ^ (1 << bit));
  const label = `bit ${bit} of byte ${offset} of ${file}`;
  return { kind: "bit", label, changes: [{ file, kind: "bytes", offset, bytes: change }] };
}

/** Every bit of what is not all zeros; one in each line of what is, and one in each block of nothing but zeros. */
function* bitFlips(file: string, bytes: Buffer): Generator<Mutation> {
  for (let block = 0; block < bytes.length; block += FUZZ_BLOCK_BYTES) {
    const end = Math.min(bytes.length, block + FUZZ_BLOCK_BYTES);
    if (isZero(bytes.subarray(block, end))) {
      yield bitFlip(file, bytes, block + ((block / FUZZ_BLOCK_BYTES) % (end - block)), 3);
      continue;
    }
    for (let line = block; line < end; line += ZERO_LINE_BYTES) {
      const lineEnd = Math.min(end, line + ZERO_LINE_BYTES);
      if (isZero(bytes.subarray(line, lineEnd))) {
        yield bitFlip(file, bytes, line, 0);
        continue;
      }
      for (let offset = line; offset < lineEnd; offset++)
        for (let bit = 0; bit < 8; bit++) yield bitFlip(file, bytes, offset, bit);
    }
  }
}

interface Block {
  readonly file: string;
  readonly offset: number;
  readonly bytes: Buffer;
}

function blocksOf(store: FuzzStore): Block[] {
  const blocks: Block[] = [];
  for (const [file, bytes] of store.files) {
    for (let offset = 0; offset < bytes.length; offset += FUZZ_BLOCK_BYTES) {
      const block = bytes.subarray(offset, offset + FUZZ_BLOCK_BYTES);
      if (!isZero(block)) blocks.push({ file, offset, bytes: block });
    }
  }
  return blocks;
}

function write({ file, offset }: Block, bytes: Buffer): FileChange {
  return { file, kind: "bytes", offset, bytes };
}

function* blockDamage(store: FuzzStore, random: SeededRandom): Generator<Mutation> {
  const blocks = blocksOf(store);
  for (const [index, block] of blocks.entries()) {
    const place = `block ${block.offset} of ${block.file}`;
    yield { kind: "zeroed block", label: place, changes: [write(block, Buffer.alloc(block.bytes.length))] };
    const others = [blocks[index + 1], ...Array.from({ length: PARTNERS }, () => random.pick(blocks))];
    for (const other of others) {
      if (other === undefined || other === block || other.bytes.equals(block.bytes)) continue;
      if (other.bytes.length !== block.bytes.length) continue; // the last of a file
      const label = `${place} and block ${other.offset} of ${other.file}`;
      yield { kind: "swapped blocks", label, changes: [write(block, other.bytes), write(other, block.bytes)] };
      yield { kind: "duplicated block", label: label.replace(" and ", " over "), changes: [write(other, block.bytes)] };
    }
  }
}

function* fileDamage(store: FuzzStore): Generator<Mutation> {
  const content = (kind: MutationKind, file: string, bytes: Buffer | null, detail = ""): Mutation => ({
    kind,
    label: `${file}${detail}`,
    changes: [{ file, kind: "content", bytes }],
  });
  for (const [file, bytes] of store.files) {
    yield content("removed", file, null);
    for (let length = 0; length < bytes.length; length += FUZZ_BLOCK_BYTES)
      yield content("truncated", file, bytes.subarray(0, length), ` to ${length}`);
    yield content("longer", file, Buffer.concat([bytes, Buffer.alloc(FUZZ_BLOCK_BYTES)]), " by zeros");
    yield content("longer", file, Buffer.concat([bytes, Buffer.alloc(4096, 0xa5)]), " by garbage");
    for (const [index, older] of (store.olderCopies.get(file) ?? []).entries())
      yield content("older copy", file, older, ` (${index})`);
    for (const [other, otherBytes] of store.files) {
      if (other <= file || otherBytes.equals(bytes)) continue;
      const changes: FileChange[] = [
        { file, kind: "content", bytes: otherBytes },
        { file: other, kind: "content", bytes },
      ];
      yield { kind: "swapped files", label: `${file} and ${other}`, changes };
    }
  }
}

export function* mutationsOf(store: FuzzStore, random: SeededRandom): Generator<Mutation> {
  yield* fileDamage(store);
  yield* blockDamage(store, random);
  for (const [file, bytes] of store.files) yield* bitFlips(file, bytes);
}

function writeAt(path: string, offset: number, bytes: Buffer): void {
  const fd = openSync(path, "r+");
  try {
    writeSync(fd, bytes, 0, bytes.length, offset);
  } finally {
    closeSync(fd);
  }
}

/** In place, so that a file keeps its inode, as it does when a device loses bytes. */
function setContent(path: string, bytes: Buffer): void {
  const fd = openSync(path, "a+");
  try {
    ftruncateSync(fd, 0);
    writeSync(fd, bytes, 0, bytes.length);
  } finally {
    closeSync(fd);
  }
}

/** Damages the copy of the store in `directory`. */
export function apply(mutation: Mutation, directory: string): void {
  for (const change of mutation.changes) {
    const path = join(directory, change.file);
    if (change.kind === "bytes") writeAt(path, change.offset, change.bytes);
    else if (change.bytes === null) rmSync(path);
    else setContent(path, change.bytes);
  }
}

/** Makes the copy whole again. */
export function undo(mutation: Mutation, directory: string, store: FuzzStore): void {
  for (const change of mutation.changes) {
    const path = join(directory, change.file);
    const original = store.files.get(change.file) as Buffer;
    if (change.kind === "bytes") {
      writeAt(path, change.offset, original.subarray(change.offset, change.offset + change.bytes.length));
    } else if (change.bytes === null) writeFileSync(path, original);
    else setContent(path, original);
  }
}

/** What the damaged file holds; null: it is gone. */
export function damagedContent(mutation: Mutation, file: string, store: FuzzStore): Buffer | null {
  let content: Buffer | null = store.files.get(file) ?? null;
  for (const change of mutation.changes) {
    if (change.file !== file) continue;
    if (change.kind === "content") {
      content = change.bytes;
    } else if (content !== null) {
      content = Buffer.from(content);
      change.bytes.copy(content, change.offset);
    }
  }
  return content;
}
