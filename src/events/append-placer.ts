/**
 * Puts an append, over however many streams, into one batch: all of it or nothing.
 *
 * The streams' heads are locked together, judged, and claimed with the batch in hand; nobody waits while holding a lock.
 */

import { StoreError } from "../errors.js";
import type { Batch, Wal } from "../wal/index.js";
import { type AppendRequest, duplicateIds, judge, repetitionOf } from "./append-request.js";
import type { AppendResult, BatchLedger, StreamPart } from "./batch-ledger.js";
import { encodeEnvelope, type PreparedEvent } from "./envelope.js";
import { BLOCKED, type HeadClaims, LOCKED, type Obstacle } from "./head-claims.js";
import type { LedgerBook } from "./ledger-book.js";
import type { RetentionGate } from "./retention-gate.js";
import { type RetentionState, tombstoned } from "./retention-state.js";
import type { StreamHead } from "./stream-index.js";

/** An append that is refused takes no memory: one above this would get a buffer of its own. */
const SHARED_BUFFER_BYTES = 1024 * 1024;

/** What is to be placed: one request for each stream. */
export interface Placeable {
  readonly requests: readonly AppendRequest[];
  readonly heads: readonly StreamHead[];
  /** Whether it gets a batch for itself. */
  readonly isAlone: boolean;
}

/** What the streams say to an append, but for what they refuse it for. */
type Verdict =
  /** It may follow the streams' events up to these versions. */
  | { readonly kind: "fits"; readonly versions: readonly number[] }
  | { readonly kind: "duplicate"; readonly results: AppendResult[] }
  | { readonly kind: "blocked"; readonly obstacle: Obstacle }
  /** The same ids may be in a batch that is not durable, or in events that were not read yet. */
  | { readonly kind: "unread" }
  /** Something was said of streams that this writer has not heard yet. */
  | { readonly kind: "unheard" }
  /** Nobody has written to these streams since the log was recovered, but they may be sealed. */
  | { readonly kind: "sealed"; readonly heads: readonly StreamHead[] }
  /** The ids may be in the stream, further back than is remembered. */
  | {
      readonly kind: "askLog";
      readonly request: AppendRequest;
      readonly head: StreamHead;
      readonly firstVersion: number;
    };

/** What putting an append into a batch came to. */
export type Placed =
  | { readonly kind: "placed"; readonly ledger: BatchLedger; readonly parts: readonly StreamPart[] }
  | { readonly kind: "noRoom" }
  | Unplaced;

type Unplaced = Exclude<Verdict, { readonly kind: "fits" }>;

const UNHEARD: Unplaced = { kind: "unheard" };
const BLOCKED_BY_LOCK: Unplaced = { kind: "blocked", obstacle: LOCKED };

export class AppendPlacer {
  readonly #wal: Wal;
  readonly #claims: HeadClaims;
  readonly #book: LedgerBook;
  readonly #gate: RetentionGate;
  readonly #mayBeSealed: (head: StreamHead) => boolean;

  /** `mayBeSealed`: false only for streams of which certainly nothing is sealed, at the cost of a look into memory. */
  constructor(
    wal: Wal,
    claims: HeadClaims,
    book: LedgerBook,
    gate: RetentionGate,
    mayBeSealed: (head: StreamHead) => boolean,
  ) {
    this.#gate = gate;
    this.#mayBeSealed = mayBeSealed;
    this.#wal = wal;
    this.#claims = claims;
    this.#book = book;
  }

  /** Puts the append into a batch, or says why not. Throws for what the caller must hear; then nothing was changed. */
  place(append: Placeable): Placed {
    const { requests, heads, isAlone } = append;
    if (!this.#gate.isCurrent) return UNHEARD;
    let eventCount = 0;
    let byteLengthMax = 0;
    for (let index = 0; index < requests.length; index++) {
      const { events } = requests[index] as AppendRequest;
      const fieldBytes = (heads[index] as StreamHead).field.length;
      for (const event of events) byteLengthMax += fieldBytes + event.byteLengthMax;
      eventCount += events.length;
    }
    const { appendBytesMax } = this.#wal;
    const problem = byteLengthMax > appendBytesMax ? tooLarge(byteLengthMax, appendBytesMax) : null;
    const sealedHeads: StreamHead[] = [];
    for (let index = 0; index < requests.length; index++) {
      const head = heads[index] as StreamHead;
      const verdict = this.#resolveHead(head, requests[index] as AppendRequest, problem);
      if (verdict?.kind === "sealed") sealedHeads.push(head);
      else if (verdict !== null) return verdict;
    }
    if (sealedHeads.length > 0) return { kind: "sealed", heads: sealedHeads };
    const isFirstJudged = isAlone || problem !== null || byteLengthMax > SHARED_BUFFER_BYTES;
    let batch = isFirstJudged ? null : this.#wal.batchFor(eventCount, byteLengthMax, isAlone);
    if (batch === null) {
      // What is refused anyway closes no batch, takes no large buffer and waits for none.
      const verdict = this.#judgeLocked(append);
      if (verdict.kind !== "fits") return verdict;
      if (problem !== null) throw problem;
      if (isFirstJudged) batch = this.#wal.batchFor(eventCount, byteLengthMax, isAlone);
      if (batch === null) return { kind: "noRoom" };
    }
    return this.#placeIn(batch, append);
  }

  /**
   * Sees to it that the stream has an entry in the head table. Null: it has one. A stream without one gets none for an append that is
   * refused, for `problem` say.
   *
   * Recovery gave an entry to each stream with events above the checkpoint that it began at; since then each stream gets one before it is
   * written to; and none is removed while the table is. So a stream without one has no events but those that were sealed then, and its
   * version in the sealed tier is its version: by that manifest and by every later one. If somebody makes the entry and writes to the
   * stream while this writer looks there, `insert` finds that entry, and what was found is not used.
   */
  #resolveHead(head: StreamHead, request: AppendRequest, problem: StoreError | null): Unplaced | null {
    if (this.#claims.find(head)) return null;
    if (!head.isBaseKnown) {
      if (this.#mayBeSealed(head)) return { kind: "sealed", heads: [head] };
      head.setBase(0);
    }
    const verdict = verdictOn([head], [request], [head.indexedVersion], this.#gate.state);
    if (verdict.kind === "fits" && problem !== null) throw problem;
    if (verdict.kind !== "fits" && verdict.kind !== "duplicate") return verdict;
    return this.#claims.insert(head) ? null : BLOCKED_BY_LOCK;
  }

  #judgeLocked({ heads, requests }: Placeable): Verdict {
    if (!this.#claims.lockAll(heads)) return BLOCKED_BY_LOCK;
    try {
      return this.#judge(heads, requests, 0);
    } finally {
      this.#claims.unlockAll(heads);
    }
  }

  #placeIn(batch: Batch, { heads, requests }: Placeable): Placed {
    const claims = this.#claims;
    if (!claims.lockAll(heads)) return BLOCKED_BY_LOCK;
    try {
      const verdict = this.#judge(heads, requests, batch.epoch);
      if (verdict.kind !== "fits") return verdict;
      const ledger = this.#book.of(batch);
      const parts: StreamPart[] = [];
      for (let index = 0; index < requests.length; index++) {
        const [first, ...others] = (requests[index] as AppendRequest).events;
        if (first === undefined) continue; // only looked at
        const head = heads[index] as StreamHead;
        const version = verdict.versions[index] as number;
        const part = writeEvents(ledger, head, version, first, others);
        this.#book.claim(head, version + part.eventCount, ledger);
        parts.push(part);
      }
      return { kind: "placed", ledger, parts };
    } finally {
      claims.unlockAll(heads);
    }
  }

  /** Judges an append to locked heads that would go into the batch `epoch`; 0: into a later one than any. */
  #judge(heads: readonly StreamHead[], requests: readonly AppendRequest[], epoch: number): Verdict {
    const claims = this.#claims;
    const versions: number[] = [];
    let obstacle: Obstacle | null = null;
    for (const head of heads) {
      const version = claims.current(head, epoch);
      // On to the others, so that each that is in the way is known to be wanted.
      if (version === BLOCKED) obstacle ??= claims.obstacle;
      else versions.push(version);
    }
    if (obstacle !== null) return { kind: "blocked", obstacle };
    // Now that the heads are locked: who tombstones a stream claims `$retention` while having the lock of that stream's head.
    if (!this.#gate.isCurrent) return UNHEARD;
    let isOver = true;
    try {
      const verdict = verdictOn(heads, requests, versions, this.#gate.state);
      // While the log is read, nobody shall go on with the streams.
      if (verdict.kind === "unread" || verdict.kind === "askLog") for (const head of heads) claims.want(head);
      isOver = verdict.kind === "duplicate";
      return verdict;
    } finally {
      if (isOver) for (const head of heads) claims.endTurn(head);
    }
  }
}

/** Judges an append to streams at these versions. */
function verdictOn(
  heads: readonly StreamHead[],
  requests: readonly AppendRequest[],
  versions: readonly number[],
  retention: RetentionState,
): Verdict {
  const duplicates: AppendResult[] = [];
  for (let index = 0; index < requests.length; index++) {
    const request = requests[index] as AppendRequest;
    const head = heads[index] as StreamHead;
    const version = versions[index] as number;
    if (retention.isTombstoned(head.name)) throw tombstoned(head.name);
    const deletedThrough = retention.deletedThrough(head.name);
    const repetition = repetitionOf(head, version, request, deletedThrough);
    if (repetition.kind === "unread") return repetition;
    if (repetition.kind === "askLog") return { kind: "askLog", request, head, firstVersion: repetition.firstVersion };
    if (repetition.kind === "repeated") duplicates.push(repetition.result);
    else judge(head.name, version, request.expectedVersion, deletedThrough);
  }
  if (duplicates.length === requests.length) return { kind: "duplicate", results: duplicates };
  if (duplicates.length > 0) {
    const { stream } = requests[0] as AppendRequest;
    throw duplicateIds(stream, "some of these streams have their events already, others not");
  }
  return { kind: "fits", versions };
}

/** Writes the events' envelopes into the batch, which has the room; the stream is at `version` before them. */
function writeEvents(
  ledger: BatchLedger,
  head: StreamHead,
  version: number,
  first: PreparedEvent,
  others: readonly PreparedEvent[] | null,
): StreamPart {
  const recordIndex = ledger.batch.recordCount;
  let next = version + 1;
  writeEvent(ledger, head, next++, first);
  if (others !== null) for (const event of others) writeEvent(ledger, head, next++, event);
  return { firstVersion: version + 1, eventCount: next - version - 1, recordIndex };
}

/** Writes the event's envelope into the batch, which has the room. */
export function writeEvent(ledger: BatchLedger, head: StreamHead, version: number, event: PreparedEvent): void {
  const { batch } = ledger;
  batch.addRecord(encodeEnvelope(batch.bytes, batch.recordOffset, head.field, version, event));
  ledger.enter(head, version);
  head.noteId(version, event.id);
}

function tooLarge(byteLength: number, appendBytesMax: number): StoreError {
  const message = `the append takes up to ${byteLength} bytes; a frame holds ${appendBytesMax}`;
  return new StoreError("ERR_WAL_TOO_LARGE", message, { byteLength, appendBytesMax });
}
