/**
 * What an opener that finds no writer does with what it finds, as a table.
 *
 * P is the end of the longest run of records without a hole, over all cores; a void is none. Wmax is the highest watermark that any valid
 * header or the manifest attests; it counts for all cores, whichever attests it. An
 * acknowledged record has LSN ≤ W at its acknowledgement, and everything ≤ Wmax is known to have been durable. So P < Wmax means that
 * durable data is gone, and P ≥ Wmax that only records of unknown outcome can be.
 *
 * The first row that fits decides. `rewrite` means: records in (Wmax, P] are written once more, durably, before the store serves, because
 * the flush that should have made them durable may have failed, and the kernel forgets such a failure.
 *
 *     row  manifest  segments  store    log      P      tail    decision
 *     @A   absent    none      –        –        –      –       create
 *     @B   absent    some      –        –        –      –       refuse: the manifest is missing
 *     @C   damaged   –         –        –        –      –       refuse: no manifest holds its checksum
 *     @D   newer     –         –        –        –      –       refuse: a newer version wrote it
 *     @E   valid     –         foreign  –        –      –       refuse: a file of another store
 *     @F   valid     –         own      newer    –      –       refuse: a newer version wrote a frame
 *     @G   valid     –         own      ahead    –      –       refuse: the log is newer than its manifest
 *     @H   valid     –         own      –        below  –       refuse: durable data is damaged
 *     @N   valid     –         own      damaged  –      –       refuse: a file is not as it was made, before it had frames
 *     @I   valid     –         own      known    equal  sealed  serve
 *     @J   valid     –         own      known    equal  end     fence
 *     @K   valid     –         own      known    equal  torn    fence, report the torn tail
 *     @L   valid     –         own      known    above  end     fence, rewrite
 *     @M   valid     –         own      known    above  torn    fence, rewrite, report the torn tail
 *
 * The letters are names, and stay; the order is that of the rows. A seal attests everything before it, so `above` with `sealed` cannot be.
 */

import { assert } from "../assert.js";
import type { StoreErrorCode } from "../errors.js";

export interface RecoveryFacts {
  readonly manifest: "absent" | "damaged" | "newer" | "valid";
  readonly segments: "none" | "some";
  readonly store: "own" | "foreign";
  readonly log: "known" | "newer" | "ahead" | "damaged";
  /** P compared with Wmax. */
  readonly prefix: "below" | "equal" | "above";
  readonly tail: "sealed" | "end" | "torn";
}

export type RecoveryDecision =
  | { readonly row: string; readonly action: "create" }
  | { readonly row: string; readonly action: "refuse"; readonly code: StoreErrorCode; readonly why: string }
  | {
      readonly row: string;
      readonly action: "serve" | "fence";
      readonly rewrite: boolean;
      readonly reportTornTail: boolean;
    };

interface Row {
  readonly row: string;
  readonly when: Partial<RecoveryFacts>;
  readonly decision:
    | { readonly action: "create" }
    | { readonly action: "refuse"; readonly code: StoreErrorCode; readonly why: string }
    | { readonly action: "serve" | "fence"; readonly rewrite: boolean; readonly reportTornTail: boolean };
}

const refuse = (code: StoreErrorCode, why: string): Row["decision"] => ({ action: "refuse", code, why });

export const RECOVERY_ROWS: readonly Row[] = [
  { row: "@A", when: { manifest: "absent", segments: "none" }, decision: { action: "create" } },
  {
    row: "@B",
    when: { manifest: "absent", segments: "some" },
    decision: refuse("ERR_WAL_CORRUPT", "the log has segments but its manifest is missing"),
  },
  { row: "@C", when: { manifest: "damaged" }, decision: refuse("ERR_WAL_CORRUPT", "no manifest holds its checksum") },
  { row: "@D", when: { manifest: "newer" }, decision: refuse("ERR_WAL_VERSION", "a newer version wrote the manifest") },
  {
    row: "@E",
    when: { store: "foreign" },
    decision: refuse("ERR_WAL_FOREIGN", "a file of another store lies in the log"),
  },
  { row: "@F", when: { log: "newer" }, decision: refuse("ERR_WAL_VERSION", "a newer version wrote to the log") },
  { row: "@G", when: { log: "ahead" }, decision: refuse("ERR_WAL_CORRUPT", "the log is newer than its manifest") },
  { row: "@H", when: { prefix: "below" }, decision: refuse("ERR_WAL_CORRUPT", "durable data is damaged or missing") },
  {
    row: "@N",
    when: { log: "damaged" },
    decision: refuse("ERR_WAL_CORRUPT", "a file of the log is not as it was made"),
  },
  {
    row: "@I",
    when: { prefix: "equal", tail: "sealed" },
    decision: { action: "serve", rewrite: false, reportTornTail: false },
  },
  {
    row: "@J",
    when: { prefix: "equal", tail: "end" },
    decision: { action: "fence", rewrite: false, reportTornTail: false },
  },
  {
    row: "@K",
    when: { prefix: "equal", tail: "torn" },
    decision: { action: "fence", rewrite: false, reportTornTail: true },
  },
  {
    row: "@L",
    when: { prefix: "above", tail: "end" },
    decision: { action: "fence", rewrite: true, reportTornTail: false },
  },
  {
    row: "@M",
    when: { prefix: "above", tail: "torn" },
    decision: { action: "fence", rewrite: true, reportTornTail: true },
  },
];

/** The decision for these facts. Facts that contradict each other are a bug in whoever gathered them. */
export function decide(facts: RecoveryFacts): RecoveryDecision {
  for (const { row, when, decision } of RECOVERY_ROWS) {
    const fits = Object.entries(when).every(([fact, value]) => facts[fact as keyof RecoveryFacts] === value);
    if (fits) return { row, ...decision };
  }
  assert(false, `no row for ${JSON.stringify(facts)}`);
}
