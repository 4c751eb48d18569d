/** Folding one stream: from its snapshot, where a usable one is there, else from its first event on. */

import {
  checkExpectedVersion,
  judge,
  type ReadStreamOptions,
  type RecordedEvent,
  type StreamStanding,
} from "../events/index.js";
import {
  type Aggregate,
  type AggregateOptions,
  type AggregateResult,
  checkAggregate,
  checkedPolicy,
  checkedTo,
  requireState,
} from "./aggregate.js";
import type { FirstEvent, Witness } from "./checkpoint-format.js";
import type { SubjectUse } from "./event-feed.js";
import {
  type FoldStart,
  type SnapshotPlace,
  type SnapshotWish,
  StreamSnapshots,
  writeFailure,
} from "./stream-snapshots.js";
import { SubjectTraces } from "./subject-traces.js";

/** What a fold looks at in an event. */
export interface FoldedEvent extends FirstEvent {
  readonly subjectContent: SubjectUse | null;
}

/** Where streams are read from: a store or a reader. */
export interface StreamSource extends SnapshotPlace {
  /** @throws StoreError `ERR_STREAM_TOMBSTONED` */
  standingOf(stream: string): Promise<StreamStanding>;
  readStream(stream: string, options: ReadStreamOptions): AsyncIterableIterator<FoldedEvent>;
}

export class StreamAggregator {
  readonly #source: StreamSource;
  readonly #snapshots: StreamSnapshots;

  constructor(source: StreamSource) {
    this.#source = source;
    this.#snapshots = new StreamSnapshots(source);
  }

  /** Documented at `Store.aggregateStream`. */
  async aggregate<State, Event extends RecordedEvent>(
    stream: string,
    aggregate: Aggregate<State, Event>,
    options: AggregateOptions = {},
  ): Promise<AggregateResult<State>> {
    checkAggregate(aggregate);
    const policy = aggregate.snapshot === undefined ? null : checkedPolicy(aggregate.snapshot);
    const { expectedVersion = "any", signal } = options;
    const to = checkedTo(options);
    checkExpectedVersion(expectedVersion);

    const standing = await this.#source.standingOf(stream);
    judge(stream, standing.version, expectedVersion, standing.deletedThrough);
    const through = Math.min(to, standing.version);
    const read = (from: number): AsyncIterable<FoldedEvent> =>
      this.#source.readStream(stream, { from, to: through, ...(signal !== undefined && { signal }) });

    const wish = policy === null ? null : { stream, policy, standing, through };
    const start = wish === null ? null : await this.#snapshots.find(wish);
    let fold = new StreamFold(aggregate, start);
    // The stream must still have the snapshot's last event where it was; else it is folded from its first.
    if (through > 0 && !(await fold.addAll(read(Math.max(1, fold.version))))) {
      fold = new StreamFold(aggregate, null);
      await fold.addAll(read(1));
    }
    if (wish !== null && through === standing.version) this.#keep(wish, fold);
    return { state: fold.state, version: through, snapshotVersion: fold.startVersion };
  }

  #keep<State, Event>(wish: SnapshotWish<State>, fold: StreamFold<State, Event>): void {
    const { policy, stream } = wish;
    const reached = fold.reached();
    if (this.#source.readOnly || reached === null || fold.foldedEvents < policy.every) return;
    // Of whom it has something can then not be told, so it could not be removed when one of them is to be forgotten.
    if (reached.subjectKeys === "many") return;
    let bytes: Uint8Array;
    try {
      // A copy: an encoder may use its memory again.
      bytes = Uint8Array.from(policy.codec.encode(fold.state));
    } catch (cause) {
      policy.onError(writeFailure(stream, policy.name, cause));
      return;
    }
    this.#snapshots.save(wish, reached, bytes);
  }

  /** Resolves when no snapshot is being written. */
  settled(): Promise<void> {
    return this.#snapshots.settled();
  }
}

/** A fold under way. */
class StreamFold<State, Event> {
  readonly #aggregate: Aggregate<State, Event>;
  readonly #start: FoldStart<State> | null;
  readonly #subjects: SubjectTraces;
  #state: State;
  #first: FirstEvent | null;
  #last: FirstEvent | null = null;
  foldedEvents = 0;

  constructor(aggregate: Aggregate<State, Event>, start: FoldStart<State> | null) {
    this.#aggregate = aggregate;
    this.#start = start;
    this.#state = start === null ? requireState(aggregate.initial()) : start.state;
    this.#first = start?.first ?? null;
    this.#subjects = new SubjectTraces(start?.subjectKeys ?? []);
  }

  get state(): State {
    return this.#state;
  }

  get startVersion(): number {
    return this.#start?.version ?? 0;
  }

  get version(): number {
    return this.#last?.version ?? this.startVersion;
  }

  /** False, and nothing was folded: the first event is not the one that the fold's start ends with. */
  async addAll(events: AsyncIterable<FoldedEvent>): Promise<boolean> {
    let known = this.#start?.last ?? null;
    for await (const event of events) {
      if (known !== null) {
        if (!isSame(event, known)) return false;
        known = null;
      } else {
        this.#add(event);
      }
    }
    return known === null;
  }

  #add(event: FoldedEvent): void {
    const { version, lsn, recordedAt, subjectContent } = event;
    const isLost = subjectContent?.status === "forgotten";
    if (subjectContent?.status === "refused") throw subjectContent.error;
    if (subjectContent?.status === "open") this.#subjects.add(subjectContent.keyId);
    if (!isLost) this.#state = requireState(this.#aggregate.evolve(this.#state, event as unknown as Event));
    const place = { version, lsn, recordedAt };
    this.#first ??= place;
    this.#last = place;
    this.foldedEvents++;
  }

  /** Where the fold is, when it is anywhere else than at its start. */
  reached(): Omit<FoldStart<State>, "state"> | null {
    if (this.#first === null || this.#last === null) return null;
    return { version: this.#last.version, first: this.#first, last: this.#last, subjectKeys: this.#subjects.trace };
  }
}

function isSame(event: Witness, known: Witness): boolean {
  return event.lsn === known.lsn && event.recordedAt === known.recordedAt;
}
