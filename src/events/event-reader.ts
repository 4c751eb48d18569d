/** The event store opened for reading only, beside writers or without any. */

import { StoreError } from "../errors.js";
import {
  type CoreState,
  type EncryptionOptions,
  type Frame,
  type IoDescription,
  LogView,
  type LsnRange,
  type RecoveryReport,
  type SealedVerification,
  type StateCiphers,
  type SubjectKeys,
  type VerifySealedOptions,
} from "../wal/index.js";
import { envelopeKey } from "./envelope-key.js";
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
import { checkDirectory, checkedEncryption, checkSchemas } from "./open-options.js";
import { checkStreamName } from "./prepare-event.js";
import { EventDecoder, type StoredEvent } from "./recorded-event.js";
import { retentionCodecs } from "./retention-event.js";
import { type PayloadCodec, SchemaRegistry } from "./schema-registry.js";
import { StreamHistory } from "./stream-history.js";
import { StreamIndex } from "./stream-index.js";
import { StreamReplay } from "./stream-replay.js";
import { openContent } from "./subjects.js";
import { UpcasterRegistry, type Upcasters } from "./upcasters.js";

/** Where no writer tells of W: who writes by now is looked for so often while events of subjects are handed out. */
const UNTOLD_MS_MAX = 100;

/**
 * The events of a store that is read only: writes no data and takes no lock. Sees what was there at the last `refresh`; while somebody
 * listens or subscribes it follows the writers by itself.
 */
export class EventReader {
  readonly readOnly = true;
  readonly #log: LogView;
  readonly #index: StreamIndex;
  readonly #history: StreamHistory;
  readonly #source: EventSource;
  readonly #decoder: EventDecoder;
  #subjectKeys: SubjectKeys | null = null;
  #refreshedMs = performance.now();

  static async open(
    directory: string,
    schemas: readonly string[],
    codecs: ReadonlyMap<string, PayloadCodec>,
    encryption?: EncryptionOptions | null,
    isMapped: boolean = false,
    upcasters: Upcasters = {},
  ): Promise<EventReader> {
    checkDirectory(directory);
    checkSchemas(schemas);
    const keys = checkedEncryption(encryption);
    const registry = SchemaRegistry.load(schemas, new Map([...codecs, ...retentionCodecs]), false);
    const upcasting = new UpcasterRegistry(upcasters);
    const index = new StreamIndex();
    const replay = new StreamReplay(index);
    const listener = {
      onFrame: (frame: Frame) => replay.addFrame(frame),
      onCheckpoint: (checkpointLsn: number) => index.trim(checkpointLsn),
    };
    const log = await LogView.open(directory, listener, keys, isMapped);
    const history = new StreamHistory(index, new LogFollower(log, index, replay), log.tiers);
    const reader = new EventReader(log, index, history, new EventDecoder(registry, log.storeId, upcasting));
    try {
      await reader.#openSubjects(keys?.subjectKeys);
      return reader;
    } catch (error) {
      await reader.close();
      throw error;
    }
  }

  /** A file that was put back from an older copy has keys that the log says are destroyed: those known by now are, whatever the file says. */
  async #openSubjects(path: string | undefined): Promise<void> {
    if (path === undefined) return;
    const { retention } = this.#source;
    await retention.catchUp(this.watermark);
    const keys = await this.#log.openSubjects(path, retention.state.hasSubjectKeys);
    this.#subjectKeys = keys;
    this.#decoder.openContent = (view, bytes, start, end) => openContent(keys, retention, view, bytes, start, end);
    this.#source.hearing = { hear: () => this.#hear(), isForgotten: (keyId) => this.isForgotten(keyId) };
  }

  /** Who has a copy of the file of subject keys hears from the log alone what others forget. */
  #hear(): Promise<void> | null {
    const { toldWatermark } = this.#log;
    const isCaughtUp = this.#source.retention.isCaughtUp(toldWatermark ?? this.watermark);
    const isOld = toldWatermark === null && performance.now() - this.#refreshedMs > UNTOLD_MS_MAX;
    if (isCaughtUp && !isOld) return null;
    return this.refresh().then(() => {});
  }

  /** Whether the log says that the store has a file of subject keys. */
  async hasSubjectKeys(): Promise<boolean> {
    const { retention } = this.#source;
    await retention.catchUp(this.watermark);
    return retention.state.hasSubjectKeys;
  }

  /** Whether what is encrypted by a subject's key is lost by now, as far as this process knows. */
  isForgotten(keyId: string): boolean {
    return this.#source.retention.state.forgottenKeys.has(keyId) || this.#subjectKeys?.isDestroyed(keyId) === true;
  }

  private constructor(log: LogView, index: StreamIndex, history: StreamHistory, decoder: EventDecoder) {
    this.#log = log;
    this.#index = index;
    this.#history = history;
    this.#decoder = decoder;
    this.#source = new EventSource(log, history, decoder, () => log.status === "closed");
  }

  get directory(): string {
    return this.#log.directory;
  }

  get storeId(): string {
    return Buffer.from(this.#log.storeId).toString("hex");
  }

  get watermark(): number {
    return this.#log.watermark;
  }

  /** For the states of projections; null for a store that is not encrypted. */
  get stateCiphers(): StateCiphers | null {
    return this.#log.stateCiphers;
  }

  get horizon(): number {
    return this.#log.horizonLsn;
  }

  get io(): IoDescription {
    return this.#log.io;
  }

  get recovery(): RecoveryReport {
    return this.#log.report;
  }

  stats(): { readonly lastLsn: number; readonly segments: number; readonly tailStreams: number } {
    return { lastLsn: this.watermark, segments: this.#log.segmentCount, tailStreams: this.#index.tailStreamCount };
  }

  async streamVersion(stream: string): Promise<number> {
    checkStreamName(stream);
    this.#checkOpen();
    return this.#history.versionAt(stream, this.watermark);
  }

  get voids(): readonly LsnRange[] {
    return this.#log.voids;
  }

  verifySealed(options?: VerifySealedOptions): Promise<SealedVerification> {
    this.#checkOpen();
    return this.#log.verifySealed(envelopeKey(), options);
  }

  cores(): readonly CoreState[] {
    return this.#log.cores();
  }

  /** Looks whether writers have gone on; true when there is more to read. With subject keys it hears whom they have forgotten, too. */
  async refresh(): Promise<boolean> {
    const startedMs = performance.now();
    const hasMore = await this.#log.refresh();
    this.#refreshedMs = startedMs;
    if (this.#subjectKeys !== null) await this.#source.retention.catchUp(this.watermark);
    return hasMore;
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

  /** Tells of `failure` as well. */
  onAdvance(listener: (watermark: number) => void): () => void {
    return this.#log.onAdvance(listener);
  }

  /** What is wrong with the log, so that nothing will come for those who listen; null: nothing that is known. */
  get failure(): Error | null {
    return this.#log.failure;
  }

  #checkOpen(): void {
    if (this.#log.status === "closed") throw new StoreError("ERR_STORE_CLOSED", "the store is closed");
  }

  close(): Promise<void> {
    return this.#log.close().finally(() => this.#subjectKeys?.close());
  }
}
