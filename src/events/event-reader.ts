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
  type VerifySealedOptions,
} from "../wal/index.js";
import { envelopeKey } from "./envelope-key.js";
import type { EventCursor } from "./event-cursor.js";
import { EventSource, type ReadAllOptions, type ReadStreamOptions, type SubscribeOptions } from "./event-source.js";
import { LogFollower } from "./log-follower.js";
import { checkDirectory, checkedEncryption, checkSchemas } from "./open-options.js";
import { checkStreamName } from "./prepare-event.js";
import { EventDecoder, type StoredEvent } from "./recorded-event.js";
import { retentionCodecs } from "./retention-event.js";
import { type PayloadCodec, SchemaRegistry } from "./schema-registry.js";
import { StreamHistory } from "./stream-history.js";
import { StreamIndex } from "./stream-index.js";
import { StreamReplay } from "./stream-replay.js";

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

  static async open(
    directory: string,
    schemas: readonly string[],
    codecs: ReadonlyMap<string, PayloadCodec>,
    encryption?: EncryptionOptions | null,
    isMapped: boolean = false,
  ): Promise<EventReader> {
    checkDirectory(directory);
    checkSchemas(schemas);
    const keys = checkedEncryption(encryption);
    const registry = SchemaRegistry.load(schemas, new Map([...codecs, ...retentionCodecs]), false);
    const index = new StreamIndex();
    const replay = new StreamReplay(index);
    const listener = {
      onFrame: (frame: Frame) => replay.addFrame(frame),
      onCheckpoint: (checkpointLsn: number) => index.trim(checkpointLsn),
    };
    const log = await LogView.open(directory, listener, keys, isMapped);
    return new EventReader(
      log,
      index,
      new StreamHistory(index, new LogFollower(log, index, replay), log.tiers),
      registry,
    );
  }

  private constructor(log: LogView, index: StreamIndex, history: StreamHistory, registry: SchemaRegistry) {
    this.#log = log;
    this.#index = index;
    this.#history = history;
    const decoder = new EventDecoder(registry, log.storeId);
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

  /** Looks whether writers have gone on; true when there is more to read. */
  refresh(): Promise<boolean> {
    return this.#log.refresh();
  }

  readStream(stream: string, options?: ReadStreamOptions): EventCursor<StoredEvent> {
    this.#checkOpen();
    return this.#source.readStream(stream, options);
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

  onAdvance(listener: (watermark: number) => void): () => void {
    return this.#log.onAdvance(listener);
  }

  #checkOpen(): void {
    if (this.#log.status === "closed") throw new StoreError("ERR_STORE_CLOSED", "the store is closed");
  }

  close(): Promise<void> {
    return this.#log.close();
  }
}
