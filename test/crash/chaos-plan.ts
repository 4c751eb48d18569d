/**
 * What the writers of the chaos test append. Every event says which append it belongs to and what it must look like, so that the parent can
 * judge the log by itself, and needs the writers' words only for what was acknowledged and what was refused.
 */

import { createHash } from "node:crypto";

const SHARED_STREAM_COUNT = 20;
const TEXT_CHARACTERS_MAX = 120;
const RACE_WINDOW_MS = 40;

export const EVENT_TYPE = "Chaos";

export const SHARED_STREAMS: readonly string[] = Array.from(
  { length: SHARED_STREAM_COUNT },
  (_, index) => `shared-${index}`,
);

/** The data of one event. */
export interface ChaosData {
  /** The append's, once in the whole log. */
  readonly name: string;
  /** The event's place in its append, which has `count` events over all of its streams. */
  readonly index: number;
  readonly count: number;
  readonly stream: string;
  /** Whether the event was given an id, `idOf`. */
  readonly hasId: boolean;
  readonly text: string;
}

/** Follows from all else, so that nothing of an event can change unnoticed. */
export function textOf({ name, index, count, stream, hasId }: Omit<ChaosData, "text">): string {
  const hash = createHash("sha512").update(`${name} ${index} ${count} ${stream} ${hasId}`).digest();
  return hash.toString("hex").slice(0, 4 + (hash.readUInt16LE(0) % TEXT_CHARACTERS_MAX));
}

export function idOf(name: string, index: number): string {
  return `${name}:${index}`;
}

/** One stream's share of an append. */
export interface ChaosPart {
  readonly stream: string;
  readonly events: number;
}

export interface ChaosEvent {
  readonly type: string;
  readonly data: ChaosData;
  readonly id?: string;
}

/** The events of each part, in the order in which they follow one another in the log. */
export function eventsOf(name: string, parts: readonly ChaosPart[], hasId: boolean): ChaosEvent[][] {
  const count = parts.reduce((sum, { events }) => sum + events, 0);
  let index = 0;
  const eventOf = (stream: string): ChaosEvent => {
    const facts = { name, index: index++, count, stream, hasId };
    const event = { type: EVENT_TYPE, data: { ...facts, text: textOf(facts) } };
    return hasId ? { ...event, id: idOf(name, facts.index) } : event;
  };
  return parts.map(({ stream, events }) => Array.from({ length: events }, () => eventOf(stream)));
}

/** What an acknowledgement and the log say alike of an append: its name, and the last LSN and version of each of its parts. */
export function receiptOf(name: string, parts: readonly { readonly lsn: number; readonly version: number }[]): string {
  return `${name} ${parts.map(({ lsn, version }) => `${lsn}:${version}`).join(" ")}`;
}

/** The stream that only this caller appends to, whoever it is at the time. */
export function privateStream(writer: string, caller: number): string {
  return `private-${writer}-${caller}`;
}

/**
 * The stream in which version V comes of the append with this name and no other, however often it is tried: by the next writer in the
 * caller's place, when it does not know whether the one before got through.
 */
export function onceStream(writer: string, caller: number): string {
  return `once-${writer}-${caller}`;
}

export function onceName(stream: string, version: number): string {
  return `${stream}#${version}`;
}

/** A stream that several callers want to be the first in. */
export function raceStream(nowMs: number): string {
  return `race-${Math.floor(nowMs / RACE_WINDOW_MS)}`;
}

/** Numbers in [0, 1) from a seed, for processes whose output belongs to the parent (mulberry32). */
export function numbersFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), 1 | state);
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What a writer is told when it starts. */
export interface WriterTask {
  readonly directory: string;
  /** `process-thread`, the writer's place; another writer takes it when this one is gone. */
  readonly writer: string;
  /** Of this writer and no other. */
  readonly life: string;
  readonly seed: number;
  readonly callers: number;
  /** Mean of the time between two appends of one caller. */
  readonly pauseMs: number;
  readonly segmentBytes: number;
  readonly busyWaitMs: number;
  /** Of each once-stream, the version that is known to have been acknowledged. */
  readonly onceVersions: Readonly<Record<string, number>>;
}

/** How a writer is to close its store, and what it does then. */
export interface LeaveOrder {
  readonly leave: "stop" | "reopen";
  /** Whether the callers end first, or closing finds them in the middle. */
  readonly drain: boolean;
  readonly restMs: number;
}

/** What the parent tells a process, a line each. */
export type ProcessOrder =
  | { readonly order: "start"; readonly thread: number; readonly task: WriterTask }
  | { readonly order: "terminate"; readonly thread: number }
  | { readonly order: "leave"; readonly thread: number; readonly how: LeaveOrder };

/** The descriptor on which a thread says its lines. Thread 0 is the process's main thread. */
export function outputOf(thread: number): number {
  return thread === 0 ? 1 : 2 + thread;
}
