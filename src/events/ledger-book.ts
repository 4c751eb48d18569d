/** The ledgers of the batches of this writer that nobody was told of yet, the oldest first; what becomes of them is entered here. */

import type { StoreError } from "../errors.js";
import type { Batch } from "../wal/index.js";
import { BatchLedger, type LedgerKeeper } from "./batch-ledger.js";
import type { HeadClaims } from "./head-claims.js";
import { LostBatches } from "./lost-batches.js";
import type { StreamHead, StreamIndex } from "./stream-index.js";

/** A ledger that has kept note of more records than this is not used again. */
const REUSED_RECORDS_MAX = 32_768;

export class LedgerBook implements LedgerKeeper {
  readonly #index: StreamIndex;
  readonly #claims: HeadClaims;
  readonly #ledgers: BatchLedger[] = [];
  #newest: BatchLedger | null = null;
  /** To be used again; there were never more ledgers at once than batches in memory. */
  readonly #idle: BatchLedger[] = [];
  readonly #lostBatches = new LostBatches();

  constructor(index: StreamIndex, claims: HeadClaims) {
    this.#index = index;
    this.#claims = claims;
    index.keepWhile((head) => this.#isClaimPending(head));
  }

  /** Whether the head was claimed in a batch that nobody was told of yet. */
  #isClaimPending(head: StreamHead): boolean {
    const oldest = this.#ledgers[0];
    return oldest !== undefined && head.claimedEpoch >= oldest.batch.epoch;
  }

  /** Batches that were not written, which the async modes had answered for already. */
  get lostBatches(): LostBatches {
    return this.#lostBatches;
  }

  /** The ledger of the open batch. */
  of(batch: Batch): BatchLedger {
    const newest = this.#newest;
    if (newest !== null && newest.batch === batch) return newest;
    const ledger = this.#idle.pop() ?? new BatchLedger(batch, this);
    ledger.begin(batch);
    batch.tickets.push(ledger);
    this.#ledgers.push(ledger);
    this.#newest = ledger;
    return ledger;
  }

  /** Claims the stream's head up to `version`, whose events lie in the ledger's batch. The head is locked. */
  claim(head: StreamHead, version: number, ledger: BatchLedger): void {
    const { claimedVersion, claimedEpoch } = head;
    this.#claims.claim(head, version, ledger.batch.epoch);
    this.#noteExtended(head, claimedVersion, claimedEpoch);
  }

  /** The same for one event, where this writer was the last to claim the head; false where that cannot be done at once. */
  extend(head: StreamHead, batch: Batch, wasFree: boolean): boolean {
    const { claimedVersion, claimedEpoch } = head;
    if (!this.#claims.extend(head, batch.epoch, wasFree)) return false;
    this.#noteExtended(head, claimedVersion, claimedEpoch);
    return true;
  }

  /** Notes that a batch which is not durable yet is not the last any more to claim the head. */
  #noteExtended(head: StreamHead, version: number, epoch: number): void {
    const oldest = this.#ledgers[0];
    if (oldest === undefined || epoch < oldest.batch.epoch || epoch === head.claimedEpoch) return;
    // There are as many ledgers as there are batches in memory, which are few.
    this.#ledgers.findLast(({ batch }) => batch.epoch === epoch)?.extend(head, version);
  }

  committed(ledger: BatchLedger, firstLsn: number): void {
    this.#remove(ledger);
    this.#index.enterBatch(firstLsn, ledger.batch.recordCount, ledger.heads, ledger.versions);
    ledger.forEachExtended((head, version) => this.#claims.noteVisible(head, version, ledger.batch.epoch));
  }

  told(ledger: BatchLedger): void {
    if (ledger.capacity <= REUSED_RECORDS_MAX) this.#idle.push(ledger);
  }

  /** Batches that are refused together are told of the newest first. */
  failed(ledger: BatchLedger, error: StoreError): void {
    this.#remove(ledger);
    // Those who wait hear of it; those who were answered early only when they ask.
    if (ledger.hasEarlyAnswers) this.#lostBatches.add(ledger.batch.epoch, error);
    // What was submitted may be in the log: then the log has failed, and no head counts any more.
    if (ledger.batch.status === "open") this.#takeBack(ledger);
  }

  #takeBack(ledger: BatchLedger): void {
    const counts = new Map<StreamHead, number>();
    const heads = ledger.heads.slice(0, ledger.batch.recordCount);
    for (const head of heads) counts.set(head, (counts.get(head) ?? 0) + 1);
    for (const [head, count] of counts) {
      const version = head.claimedVersion - count;
      const earlier = this.#ledgers.findLast((other) => other.isExtended(head, version));
      // When no batch of this writer holds that version and waits, it was visible when this one went on from it.
      this.#claims.takeBack(head, version, earlier?.batch.epoch ?? 0);
    }
  }

  #remove(ledger: BatchLedger): void {
    const at = this.#ledgers.indexOf(ledger);
    if (at >= 0) this.#ledgers.splice(at, 1);
    if (this.#newest === ledger) this.#newest = null;
  }
}
