/**
 * A checkpoint in parts: the whole, `v3.checkpoint`, and what has changed since, `v3.part1.checkpoint`, `v3.part2.checkpoint` and so on.
 *
 * Each part is a file of its own in the format of checkpoint-format.ts, complete when it has its name. Its facts have `part`: an id of its own and
 * that of the part before, so that parts which different writers wrote, or a crash left, are never taken for one state. The whole and the first n
 * parts are the state as of the nth; so a part that is missing, damaged or not to be believed costs what comes from it on, and is replayed.
 * After a bounded number of parts the whole is written again, and replaces them.
 */

import type { FileHandle } from "node:fs/promises";
import type { StateCiphers } from "../events/index.js";
import { type CheckpointReading, openIfPresent, orRefusal, type Refusal, readCheckpoint } from "./checkpoint-file.js";
import type { CheckpointFacts, PartFacts } from "./checkpoint-format.js";
import { ChunkReader } from "./chunk-reader.js";
import type { FeedEvent } from "./event-feed.js";
import type { Projection } from "./projection.js";
import type { StatePieces } from "./state-pieces.js";

/** More would keep as many files open while they are read, and each can be damaged. */
const PARTS_MAX = 16;
/** Of the whole's bytes: what all parts together may have, for they are read besides. */
const CHANGED_SHARE_MAX = 0.5;

/** What lies on disk, for the next part to go on from. */
export interface PartChain {
  readonly wholeId: string;
  readonly last: PartFacts;
  readonly wholeBytes: number;
  readonly changedBytes: number;
}

/** A checkpoint that was found and not believed. */
export interface RefusedCheckpoint extends Refusal {
  readonly file: string;
}

export interface StateReading<State> {
  readonly reading: CheckpointReading<State>;
  /** Null: only the whole can be written next. */
  readonly chain: PartChain | null;
  /** The parts that were not believed, or not readable. */
  readonly refused: readonly RefusedCheckpoint[];
}

/** Where a part of a checkpoint lies. */
export function partOf(file: string, number: number): string {
  return file.replace(/\.checkpoint$/, `.part${number}.checkpoint`);
}

/** Whether a part with so many bytes may follow; if not, the whole is to be written. */
export function mayFollow({ last, wholeBytes, changedBytes }: PartChain, byteLength: number): boolean {
  return last.number < PARTS_MAX && changedBytes + byteLength <= wholeBytes * CHANGED_SHARE_MAX;
}

/** Reads a state, with what was saved after it. Never throws for what is in the files, as `readCheckpoint`. */
export async function readState<State, Event extends FeedEvent>(
  file: string,
  projection: Projection<State, Event>,
  judge: (facts: CheckpointFacts) => Promise<Refusal | null>,
  ciphers: StateCiphers | null,
): Promise<StateReading<State>> {
  const { pieces } = projection;
  if (pieces === undefined) {
    const reading = await readCheckpoint(file, judge, (chunks) => projection.decode(chunks), ciphers);
    return { reading, chain: null, refused: [] };
  }
  const opened = await openParts(file, ciphers);
  try {
    return await readParts(opened, pieces, judge, ciphers);
  } finally {
    for (const { handle } of opened.parts) await handle.close();
  }
}

/** The facts of the newest part that follows without a gap, unjudged, and the bytes of all up to it; null: there is none that can be read. */
export async function newestFacts(
  file: string,
  ciphers: StateCiphers | null,
): Promise<{ readonly facts: CheckpointFacts; readonly bytes: number } | null> {
  const { parts } = await openParts(file, ciphers);
  for (const { handle } of parts) await handle.close();
  const newest = parts.at(-1);
  if (newest === undefined) return null;
  return { facts: newest.facts, bytes: parts.reduce((sum, part) => sum + part.bytes, 0) };
}

/** Whether a chain lies on disk still: another writer of the projection may have replaced it. */
export async function isOnDisk(file: string, chain: PartChain, ciphers: StateCiphers | null): Promise<boolean> {
  const { parts } = await openParts(file, ciphers);
  for (const { handle } of parts) await handle.close();
  return parts[0]?.facts.part?.id === chain.wholeId && parts[chain.last.number]?.facts.part?.id === chain.last.id;
}

interface OpenPart {
  readonly file: string;
  readonly handle: FileHandle;
  readonly facts: CheckpointFacts;
  readonly bytes: number;
}

interface OpenParts {
  /** The whole, and what follows it without a gap. */
  readonly parts: readonly OpenPart[];
  /** Of the first that cannot be read. */
  readonly fault: RefusedCheckpoint | null;
}

async function openParts(file: string, ciphers: StateCiphers | null): Promise<OpenParts> {
  const parts: OpenPart[] = [];
  for (let number = 0; number <= PARTS_MAX; number += 1) {
    const path = number === 0 ? file : partOf(file, number);
    const handle = await openIfPresent(path);
    if ("kind" in handle) {
      return { parts, fault: handle.kind === "absent" ? null : { ...handle, file: path } };
    }
    const reader = new ChunkReader(handle, ciphers);
    const facts = await orRefusal(reader, () => reader.readFacts());
    if ("refusal" in facts) {
      await handle.close();
      return { parts, fault: { ...facts.refusal, file: path } };
    }
    const before = parts.at(-1)?.facts;
    if (before !== undefined && !follows(facts.value, before)) {
      // A crash, or another writer, has left it: it is of another whole.
      await handle.close();
      return { parts, fault: null };
    }
    parts.push({ file: path, handle, facts: facts.value, bytes: reader.fileBytes });
    if (facts.value.part === undefined) break;
  }
  return { parts, fault: null };
}

function follows({ part, lsn }: CheckpointFacts, before: CheckpointFacts): boolean {
  if (part === undefined || before.part === undefined) return false;
  return part.after === before.part.id && part.number === before.part.number + 1 && lsn >= before.lsn;
}

async function readParts<State>(
  { parts, fault }: OpenParts,
  pieces: StatePieces<State>,
  judge: (facts: CheckpointFacts) => Promise<Refusal | null>,
  ciphers: StateCiphers | null,
): Promise<StateReading<State>> {
  const refused: RefusedCheckpoint[] = [];
  const [whole] = parts;
  if (whole === undefined) {
    const reading = fault === null ? ({ kind: "absent" } as const) : ({ ...fault, kind: "refused" } as const);
    return { reading, chain: null, refused };
  }
  if (fault !== null) refused.push(fault);
  let count = parts.length;
  // From the newest on: its facts say more than those before, and one that is believed vouches for them.
  for (; count > 0; count -= 1) {
    const { file, facts } = parts[count - 1] as OpenPart;
    const refusal = await judge(facts);
    if (refusal === null) break;
    refused.push({ ...refusal, file });
  }
  while (count > 0) {
    const used = parts.slice(0, count);
    const loaded = await load(used, pieces, ciphers);
    if (loaded.kind === "loaded") {
      const { facts } = used.at(-1) as OpenPart;
      const reading = { kind: "usable", facts, state: loaded.state } as const;
      return { reading, chain: refused.length > 0 ? null : chainOf(used), refused };
    }
    count = loaded.at;
    refused.push({ ...loaded.refusal, file: (parts[count] as OpenPart).file });
  }
  const last = refused.pop() as RefusedCheckpoint;
  return { reading: { ...last, kind: "refused" }, chain: null, refused };
}

type Loaded<State> =
  | { readonly kind: "loaded"; readonly state: State }
  | { readonly kind: "refused"; readonly at: number; readonly refusal: Refusal };

async function load<State>(
  parts: readonly OpenPart[],
  pieces: StatePieces<State>,
  ciphers: StateCiphers | null,
): Promise<Loaded<State>> {
  const stateLoad = pieces.load();
  let state: { readonly value: State } | null = null;
  for (const [at, { handle }] of parts.entries()) {
    const reader = new ChunkReader(handle, ciphers);
    const isLast = at === parts.length - 1;
    const result = await orRefusal(reader, async () => {
      await reader.readFacts();
      await reader.fill((bytesLeft) => (at === 0 ? stateLoad.whole(bytesLeft) : stateLoad.changes(bytesLeft)));
      if (isLast) state = { value: stateLoad.finish() };
    });
    if ("refusal" in result) return { kind: "refused", at, refusal: result.refusal };
  }
  return { kind: "loaded", state: (state as unknown as { readonly value: State }).value };
}

function chainOf(parts: readonly OpenPart[]): PartChain | null {
  const whole = parts[0]?.facts.part;
  const last = parts.at(-1)?.facts.part;
  if (whole === undefined || last === undefined) return null;
  const [wholeBytes = 0, ...changed] = parts.map(({ bytes }) => bytes);
  return { wholeId: whole.id, last, wholeBytes, changedBytes: changed.reduce((sum, bytes) => sum + bytes, 0) };
}
