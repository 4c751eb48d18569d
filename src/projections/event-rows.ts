/**
 * Events as rows of numbers, for a replay that makes no object of each: what a projection may have beside `apply`, for states of millions of events.
 *
 * Rows are filled from the records of the log, by this thread or by another one, and applied in LSN order. What a row cannot say (an event that is
 * rare, malformed, or has a subject) is in it as its record: it is made into an event, and applied as any other.
 */

import type { RecordCursor } from "../events/index.js";

/** `"full"`: apply what is there, clear the rows, and go on. `"too-large"`: a record has no room in rows that are empty. */
export type RowsFilling = "done" | "full" | "too-large";

export interface EventRows {
  readonly length: number;
  /** The row that is applied now. */
  readonly applying: number;
  lsnAt(row: number): number;
  recordedAtOf(row: number): number;
  typeAt(row: number): string;
  /** It is to be applied as an event. */
  isRecord(row: number): boolean;
  /** Where its record is, then. */
  recordAt(row: number): { readonly bytes: Buffer; readonly start: number; readonly end: number };
  /** Takes in what follows of the records of a frame, as far as there is room. */
  fill(records: RecordCursor): RowsFilling;
  clear(): void;
  /** Takes what lies in the memory for that many rows: another thread has filled them. */
  resume(length: number): void;
  /** Makes room for a record of that many bytes; the rows are empty. */
  enlarge(byteLength: number): void;
}

/** A piece of memory that two threads may see. */
export interface RowMemory {
  readonly buffer: ArrayBufferLike;
  readonly byteOffset: number;
}

/** How rows are made, in the thread that fills them and in the one that applies them. */
export interface RowsFactory<Rows extends EventRows = EventRows> {
  /** What rows take of memory; a multiple of 8. */
  readonly byteLength: number;
  /** The module of a worker that calls `serveRows`. */
  readonly thread: URL;
  /** Empty ones, in memory of their own where none is given. */
  rows(memory?: RowMemory): Rows;
}

export interface RowProjection<State, Rows extends EventRows = EventRows> extends RowsFactory<Rows> {
  /** Applies `[from, end)`, none of which is a record. Of what it throws at, `applying` says which row it was. */
  apply(state: State, rows: Rows, from: number, end: number): void;
}
