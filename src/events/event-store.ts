/** The event store: streams of events over one log, open for writing. */

import { StoreError } from "../errors.js";
import {
  type Anchor,
  type AnchorOptions,
  type BackupReport,
  type CheckpointReport,
  CheckpointSchedule,
  type CoreState,
  checkAnchorOptions,
  checkKeySource,
  type Frame,
  type HeadTable,
  type IoDescription,
  type KeySource,
  makeAnchor,
  type RecoveryReport,
  type RekeyReport,
  type StateCiphers,
  type StoreHealth,
  type SubjectKeys,
  Wal,
  type WalStats,
} from "../wal/index.js";
import { Appender, type AppendOptions, type StreamAppend } from "./appender.js";
import { type BackupOptions, checkBackup } from "./backup-options.js";
import type { AppendResult, BufferedResult } from "./batch-ledger.js";
import { envelopeKey } from "./envelope-key.js";
import type { Durability, EventInput } from "./event.js";
import type { EventCursor } from "./event-cursor.js";
import {
  EventSource,
  type ReadAllOptions,
  type ReadStreamOptions,
  type RecordFeed,
  type StreamStanding,
  type SubscribeOptions,
} from "./event-source.js";
import { LogFollower } from "./log-follower.js";
import { type CheckedOptions, checkDirectory, checkedOptions, type EventStoreOptions } from "./open-options.js";
import { checkedSubject, checkStreamName, EventPreparer } from "./prepare-event.js";
import { EventDecoder, type StoredEvent } from "./recorded-event.js";
import { Retention } from "./retention.js";
import { RETENTION_STREAM, retentionCodecs } from "./retention-event.js";
import { enterRetention, RetentionGate } from "./retention-gate.js";
import { type PayloadCodec, SchemaRegistry } from "./schema-registry.js";
import { StreamHistory } from "./stream-history.js";
import { StreamIndex } from "./stream-index.js";
import { StreamReplay } from "./stream-replay.js";
import { type Forgetting, openContent, Subjects, subjectsNeeded } from "./subjects.js";
import { UpcasterRegistry } from "./upcasters.js";

const SEAL_WORKER = new URL("./seal-worker.js", import.meta.url);

/**
 * What this writer has written since it opened the store (`cores()` has the others'), and of the store as far as this writer knows it:
 * `lastLsn`, which is W; `segments`, those of the cores that it found when it recovered the log and its own since.
 */
export interface EventStoreStats extends WalStats {
  /**
   * Streams with durable events above the last checkpoint, as far as this process has looked at them: other writers' events are when a stream
   * is read. Nobody counts how many streams a store has in all.
   */
  readonly tailStreams: number;
  /** The last LSN that is sealed. */
  readonly checkpointLsn: number;
  /** Checkpoints that this writer made by itself and that failed, since the last one that it made. */
  readonly checkpointFailures: number;
}

/**
 * Streams of events over one log. What users hold is the `Store` of src/projections, which documents these methods.
 *
 * open → closing → closed. Once closing has begun every append is refused with `ERR_STORE_CLOSED`; what had a place in a batch becomes
 * durable, what waited for one is refused. Reading ends with `ERR_STORE_CLOSED`, subscriptions just end.
 */
export class EventStore {
  readonly readOnly = false;
  readonly #wal: Wal;
  readonly #index: StreamIndex;
  readonly #history: StreamHistory;
  readonly #appender: Appender;
  readonly #schedule: CheckpointSchedule;
  /** Lost batches that an earlier `flush` told of. */
  #toldLossCount = 0;
  readonly #source: EventSource;
  readonly #decoder: EventDecoder;
  #subjectKeys: SubjectKeys | null = null;
  /** What is to be forgotten. */
  readonly retention: Retention;

  /**
   * `codecs` are the payload codecs of event types that come with Varve. `turnsPlain`: a store that is not encrypted is to become so, by
   * the key in the options.
   */
  static async open(
    directory: string,
    options: EventStoreOptions,
    codecs: ReadonlyMap<string, PayloadCodec>,
    turnsPlain = false,
  ): Promise<EventStore> {
    checkDirectory(directory);
    const checked = checkedOptions(options);
    const registry = SchemaRegistry.load(
      checked.schemas,
      new Map([...codecs, ...retentionCodecs]),
      checked.strictSchemas,
    );
    const upcasters = new UpcasterRegistry(checked.upcasters);
    const index = new StreamIndex();
    const replay = new StreamReplay(index);
    const opening = {
      onFrame: (frame: Frame) => replay.addFrame(frame),
      onRecovered: (heads: HeadTable) => {
        index.enterAll(heads);
        if (index.sealedThrough === 0) enterRetention(heads);
      },
      onCheckpoint: (checkpointLsn: number) => index.trim(checkpointLsn),
    };
    const own = { keyOf: envelopeKey(), sealWorker: SEAL_WORKER, turnsPlain };
    const wal = await Wal.open(directory, { ...checked, ...own }, opening);
    const history = new StreamHistory(index, new LogFollower(wal, index, replay), wal.tiers);
    const store = new EventStore(wal, index, history, { registry, upcasters }, checked);
    try {
      await store.#openSubjects(checked);
      return store;
    } catch (error) {
      await store.close().catch(() => {}); // why it could not be opened is what counts
      throw error;
    }
  }

  async #openSubjects({ encryption, busyWaitMs }: CheckedOptions): Promise<void> {
    const path = encryption?.subjectKeys;
    if (path === undefined) return;
    const { retention: follower } = this.#source;
    await follower.catchUp(this.watermark);
    const keys = await this.#wal.keyChanges.openSubjects(path, follower.state.hasSubjectKeys, busyWaitMs);
    this.#subjectKeys = keys;
    const subjects = new Subjects({
      keys,
      follower,
      watermark: () => this.watermark,
      append: (event) => this.#appender.appendGuarded(RETENTION_STREAM, event, null),
    });
    this.#decoder.openContent = (view, bytes, start, end) => openContent(keys, follower, view, bytes, start, end);
    this.#source.hearing = {
      // Another one can have a copy of the file of its own: then only the log says what that has forgotten.
      hear: () => (follower.isCaughtUp(this.watermark) ? null : follower.catchUp(this.watermark)),
      isForgotten: (keyId) => this.isForgotten(keyId),
    };
    await subjects.begin();
    this.#appender.subjects = subjects;
  }

  private constructor(
    wal: Wal,
    index: StreamIndex,
    history: StreamHistory,
    { registry, upcasters }: { readonly registry: SchemaRegistry; readonly upcasters: UpcasterRegistry },
    options: CheckedOptions,
  ) {
    this.#wal = wal;
    this.#index = index;
    this.#history = history;
    const { checkpointWalBytes: walBytes, checkpointEntries: entries, checkpointIntervalMs: intervalMs } = options;
    const policy = { walBytes, entries, intervalMs };
    this.#schedule = new CheckpointSchedule(wal, policy, wal.recovery.bytesRead, options.onCheckpointError);
    const decoder = new EventDecoder(registry, wal.storeId, upcasters);
    this.#decoder = decoder;
    const source = new EventSource(wal, history, decoder, () => wal.status === "closed");
    this.#source = source;
    const gate = new RetentionGate({
      heads: wal.heads,
      follower: source.retention,
      watermark: () => wal.watermark,
      version: () => this.streamVersion(RETENTION_STREAM),
      assertOpen: () => wal.assertWritable(),
    });
    const preparer = new EventPreparer(registry, upcasters);
    const appender = new Appender(wal, index, preparer, options, gate, {
      learnRetention: () => gate.learn(),
      mayBeSealed: (stream) => history.mayBeSealed(stream),
      findBase: (head) => history.findBase(head),
      catchUp: () => history.catchUp(),
      loadIds: (head) => source.loadIds(head),
      readIds: (stream, firstVersion, count) => source.readIds(stream, firstVersion, count),
    });
    this.#appender = appender;
    this.retention = new Retention({
      remover: wal.remover,
      follower: source.retention,
      watermark: () => wal.watermark,
      versionOf: (stream) => this.streamVersion(stream),
      lsnAt: (timeUs) => wal.sealed.lsnAt(timeUs),
      append: (event, guard) => appender.appendGuarded(RETENTION_STREAM, event, guard),
    });
  }

  get directory(): string {
    return this.#wal.directory;
  }

  get storeId(): string {
    return Buffer.from(this.#wal.storeId).toString("hex");
  }

  get watermark(): number {
    return this.#wal.watermark;
  }

  /** For the states of projections; null for a store that is not encrypted. */
  get stateCiphers(): StateCiphers | null {
    return this.#wal.keyChanges.stateCiphers;
  }

  /** Encrypts what is written from now on by another key, and resolves with its number. */
  rotateKey(source: KeySource): Promise<number> {
    checkKeySource(source, "rotateKey");
    return this.#wal.keyChanges.rotate(source);
  }

  /** Encrypts everything by the current key. Nobody else has the store open. */
  async rekey(reencrypt: () => Promise<void>): Promise<RekeyReport> {
    const { subjects } = this.#appender;
    await this.#source.retention.catchUp(this.watermark);
    if (subjects === null && this.#source.retention.state.hasSubjectKeys) throw subjectsNeeded(this.directory);
    return this.#wal.keyChanges.rekey(async () => {
      // Before the manifest lets go of the former keys: the file is to be opened by what it names.
      await subjects?.reseal();
      await reencrypt();
    });
  }

  /** Destroys the keys of a subject, and says so in the log. */
  async forget(subject: string): Promise<Forgetting> {
    this.#wal.assertWritable();
    checkedSubject(subject);
    const { subjects } = this.#appender;
    if (subjects === null) throw subjectsNeeded(this.directory);
    return subjects.forget(subject);
  }

  /** The same for keys by their ids, those that the file does not have included: it may be put back. */
  async forgetKeys(keyIds: Iterable<string>): Promise<void> {
    this.#wal.assertWritable();
    const { subjects } = this.#appender;
    if (subjects === null) throw subjectsNeeded(this.directory);
    await subjects.forgetKeys(keyIds);
  }

  /** Whether what is encrypted by a subject's key is lost by now, as far as this process knows. */
  isForgotten(keyId: string): boolean {
    return this.#source.retention.state.forgottenKeys.has(keyId) || this.#subjectKeys?.isDestroyed(keyId) === true;
  }

  /** The last LSN that a truncation of the log has dropped, as far as this process knows; 0: none. */
  get horizon(): number {
    return this.#wal.horizonLsn;
  }

  get io(): IoDescription {
    return this.#wal.io;
  }

  get recovery(): RecoveryReport {
    return this.#wal.recovery;
  }

  stats(): EventStoreStats {
    const { checkpointLsn, stats } = this.#wal;
    const { failureCount: checkpointFailures } = this.#schedule;
    return { ...stats, tailStreams: this.#index.tailStreamCount, checkpointLsn, checkpointFailures };
  }

  health(): StoreHealth {
    return this.#wal.health(this.#appender.waitingCount);
  }

  cores(): readonly CoreState[] {
    return this.#wal.cores();
  }

  async streamVersion(stream: string): Promise<number> {
    checkStreamName(stream);
    this.#checkOpen();
    return (await this.#appender.visibleVersion(stream)) ?? this.#history.sealedVersionOf(stream);
  }

  append(
    stream: string,
    events: EventInput | readonly EventInput[],
    options?: AppendOptions,
  ): Promise<AppendResult | BufferedResult> {
    return this.#appender.append(stream, events, options, true);
  }

  tryAppend(
    stream: string,
    events: EventInput | readonly EventInput[],
    options?: AppendOptions,
  ): Promise<AppendResult | BufferedResult> {
    return this.#appender.append(stream, events, options, false);
  }

  appendMany(
    appends: readonly StreamAppend[],
    options?: { readonly durability?: Durability },
  ): Promise<(AppendResult | BufferedResult)[]> {
    return this.#appender.appendMany(appends, options);
  }

  readStream(stream: string, options?: ReadStreamOptions): EventCursor<StoredEvent> {
    this.#checkOpen();
    return this.#source.readStream(stream, options);
  }

  /** What there is of a stream now. @throws StoreError `ERR_STREAM_TOMBSTONED` */
  standingOf(stream: string): Promise<StreamStanding> {
    this.#checkOpen();
    return this.#source.standingOf(stream);
  }

  readAll(options?: ReadAllOptions): EventCursor<StoredEvent> {
    this.#checkOpen();
    return this.#source.readAll(options);
  }

  subscribe(options?: SubscribeOptions): EventCursor<StoredEvent> {
    this.#checkOpen();
    return this.#source.subscribe(options);
  }

  readBatches(
    after: number,
    options?: { readonly signal?: AbortSignal },
  ): AsyncGenerator<readonly StoredEvent[], void, undefined> {
    this.#checkOpen();
    return this.#source.readBatches(after, options);
  }

  /** For a replay in bulk; null: subjects are heard of between any two events. */
  get records(): RecordFeed | null {
    return this.#source.hearing === null ? this.#source : null;
  }

  onAdvance(listener: (watermark: number) => void): () => void {
    return this.#wal.onAdvance(listener);
  }

  #checkOpen(): void {
    if (this.#wal.status === "closed") throw new StoreError("ERR_STORE_CLOSED", "the store is closed");
  }

  /**
   * Writes what the async modes have buffered; resolves when it is durable.
   *
   * @throws StoreError `ERR_WAL_FULL`, `ERR_WAL_FAILED`, `ERR_WAL_OUTCOME_UNKNOWN` when some of what was buffered since the last call was
   * not written; `ERR_STORE_CLOSED`
   */
  async flush(): Promise<void> {
    this.#wal.assertWritable();
    const { lostBatches } = this.#appender;
    const toldBefore = this.#toldLossCount;
    await this.#wal.flush();
    this.#toldLossCount = lostBatches.count;
    if (lostBatches.count > toldBefore) throw lostBatches.newest;
  }

  /**
   * Resolves when every append of that epoch is durable, with an LSN that none of them exceeds.
   *
   * @throws StoreError `ERR_WAL_FULL`, `ERR_WAL_FAILED`, `ERR_WAL_OUTCOME_UNKNOWN` when they were not written; `ERR_STORE_CLOSED`
   * @throws RangeError when no append has answered with that epoch
   */
  async whenDurable(epoch: number): Promise<{ readonly lsn: number }> {
    if (typeof epoch !== "number" || !Number.isSafeInteger(epoch) || epoch < 1) {
      throw new TypeError("whenDurable takes the epoch that an append answered with");
    }
    if (epoch > this.#wal.durableEpoch) await this.#wal.flush();
    const error = this.#appender.lostBatches.errorOf(epoch);
    if (error !== null) throw error;
    if (epoch > this.#wal.durableEpoch) {
      this.#wal.assertWritable();
      throw new RangeError(`no append has had the epoch ${epoch} yet`);
    }
    return { lsn: this.#wal.watermark };
  }

  /**
   * Seals everything up to the watermark; null when another writer is doing it.
   *
   * @throws StoreError `ERR_IO_FAILED`, `ERR_WAL_CORRUPT`, `ERR_WAL_FAILED`, `ERR_STORE_CLOSED`: then nothing was removed
   */
  checkpoint(): Promise<CheckpointReport | null> {
    return this.#wal.checkpoint();
  }

  /** The head of the hash chain, when everything up to the watermark is sealed. */
  async anchor(options: AnchorOptions = {}): Promise<Anchor> {
    const key = checkAnchorOptions(options);
    const wal = this.#wal;
    const watermark = (): number => wal.watermark;
    return makeAnchor({ directory: wal.directory, watermark, checkpoint: () => wal.checkpoint() }, key);
  }

  async backup(directory: string, options: BackupOptions = {}): Promise<BackupReport> {
    checkBackup(directory, options);
    return this.#wal.backup(directory, options.signal);
  }

  /** `checkpoint`, and every stretch of small segments becomes one. */
  compact(): Promise<CheckpointReport | null> {
    return this.#wal.checkpoint(true);
  }

  close(): Promise<void> {
    this.#schedule.stop();
    return this.#wal.close().finally(() => this.#subjectKeys?.close());
  }
}
