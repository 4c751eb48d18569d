/**
 * The log of one store, open for writing: this thread's core writer and a reader over all cores of one directory.
 *
 * Knows bytes and LSNs, no events. attaching (recovering, where no writer lives) → open → closing → closed | failed.
 */

import { join } from "node:path";
import type { StoreError } from "../errors.js";
import { type BlockIo, BufferPool, type IoDescription, openIo, syncDirectory } from "../ffi/index.js";
import { AdvanceListeners } from "./advance-listeners.js";
import { AttachLock } from "./attach-lock.js";
import { type Attachment, attach } from "./attachment.js";
import { type BackupReport, Backups } from "./backup/backup.js";
import type { Batch } from "./batch.js";
import { Checkpointer, type CheckpointReport } from "./checkpoint.js";
import { type Clock, wallClock } from "./clock.js";
import { Company } from "./company.js";
import type { CoreState } from "./control-file.js";
import type { CoreTail } from "./core-cursor.js";
import { CoreWriter } from "./core-writer.js";
import { StoreKeys } from "./crypt/store-keys.js";
import { detach, leave } from "./detachment.js";
import { attachedReport, type FrameListener, type RecoveryReport } from "./find-log.js";
import { LogIndex } from "./frame-index.js";
import type { Frame } from "./frame-stream.js";
import type { HeadTable } from "./head-table.js";
import { healthOf, type StoreHealth } from "./health.js";
import { KeyChanges } from "./key-changes.js";
import { LogReader } from "./log-reader.js";
import { LogRemover } from "./log-removal.js";
import type { Manifest } from "./manifest.js";
import { nextSegment } from "./next-segment.js";
import { type RecoveredLog, recoverLog } from "./open-log.js";
import { sealInWorker } from "./seal-worker.js";
import type { LogFrame } from "./sealed/sealed-format.js";
import type { SealedLog } from "./sealed/sealed-log.js";
import { SealedChanges, type Sealer } from "./sealed-changes.js";
import { coreDirectory } from "./segment-name.js";
import { makeStoreDirectory } from "./store-directory.js";
import type { TakeoverReport } from "./takeover.js";
import { TieredReader } from "./tiered-reader.js";
import type { WalOpening, WalOptions, WalStats } from "./wal-options.js";
import { coded, openingFailed } from "./write-failure.js";
import type { SealDemand } from "./writer-contract.js";

export const READ_CHUNK_BYTES: number = 1024 * 1024;
export const READ_CHUNKS_MAX = 64;

type TimedOptions = WalOptions & { readonly clock: Clock };

/** What of an opened log does not come from its attachment. */
interface WalParts {
  readonly io: BlockIo;
  readonly pool: BufferPool;
  readonly lock: AttachLock;
  readonly keys: StoreKeys | null;
  readonly index: LogIndex;
  readonly firstSegment: number;
  readonly onCheckpoint: (checkpointLsn: number) => void;
}

export class Wal {
  readonly directory: string;
  readonly storeId: Uint8Array;
  readonly recovery: RecoveryReport;
  readonly io: IoDescription;
  readonly heads: HeadTable;
  /** This writer's core number. */
  readonly slot: number;
  readonly generation: number;
  /** Removes records from the log. */
  readonly remover: LogRemover;
  /** Goes over to other keys. */
  readonly keyChanges: KeyChanges;
  readonly #busyWaitMs: number;
  readonly #io: BlockIo;
  readonly #pool: BufferPool;
  readonly #keys: StoreKeys | null;
  readonly #attachment: Attachment;
  /** Held to the end by an exclusive opener. */
  readonly #exclusiveLock: AttachLock | null;
  readonly #writer: CoreWriter;
  readonly #company: Company;
  readonly #reader: TieredReader;
  readonly #sealedChanges: SealedChanges;
  readonly #checkpointer: Checkpointer;
  readonly #backups: Backups;
  /** Segments with frames that were there at opening, and those written since. */
  #segmentCount: number;
  #lastSegment = 0;
  #heardCheckpointLsn = 0;
  #toldWatermark = 0;
  readonly #listeners = new AdvanceListeners();
  #closing: Promise<void> | null = null;
  #isClosed = false;

  /**
   * Opens the log in `directory`, creating the store where there is none. Where no writer lives it is recovered first, and `opening` gets
   * every record's frame in LSN order; else this writer attaches beside the others.
   *
   * @throws StoreError `ERR_STORE_LOCKED`, `ERR_STORE_BUSY`, `ERR_STORE_WRITERS`, `ERR_WAL_CORRUPT`, `ERR_WAL_VERSION`,
   *   `ERR_WAL_FOREIGN`, `ERR_WAL_FULL`, `ERR_WAL_FAILED`, `ERR_IO_FAILED`, `ERR_IO_UNSUPPORTED`, `ERR_KEY_MISSING`, `ERR_KEY_WRONG`,
   *   `ERR_WAL_TAMPERED`
   */
  static async open(directory: string, options: WalOptions, opening: WalOpening): Promise<Wal> {
    const { encryption = null } = options;
    const keys = encryption === null ? null : await StoreKeys.load(encryption);
    if (keys !== null) keys.turnsPlain = options.turnsPlain === true;
    try {
      return await Wal.#openIn(await makeStoreDirectory(directory), options, opening, keys);
    } catch (error) {
      keys?.close();
      throw openingFailed(error);
    }
  }

  static async #openIn(path: string, options: WalOptions, opening: WalOpening, keys: StoreKeys | null): Promise<Wal> {
    const lock = await AttachLock.take(path, options.exclusive, options.busyWaitMs);
    let isHeld = false;
    try {
      const io = (options.openIo ?? openIo)(options.io, join(path, "lock"));
      const pool = new BufferPool(READ_CHUNK_BYTES, READ_CHUNKS_MAX);
      try {
        const wal = await Wal.#attach(path, options, { io, pool, lock, keys }, opening);
        isHeld = options.exclusive;
        return wal;
      } catch (error) {
        await io.close();
        pool.close();
        throw error;
      }
    } finally {
      if (!isHeld) lock.release();
    }
  }

  static async #attach(
    directory: string,
    options: WalOptions,
    held: Pick<WalParts, "io" | "pool" | "lock" | "keys">,
    opening: WalOpening,
  ): Promise<Wal> {
    const index = new LogIndex();
    const clock = options.clock ?? wallClock();
    /** Frames above the attested watermark so far: those that may have to be rewritten. */
    let unattested: Frame[] = [];
    let attestedLsn = 0;
    const takeFrame: FrameListener = (frame, position) => {
      index.of(position.core).add(frame.header.firstLsn, position.segment, position.fileOffset);
      unattested.push(frame);
      if (frame.header.durableLsn > attestedLsn) {
        attestedLsn = frame.header.durableLsn;
        unattested = unattested.filter(({ header }) => header.firstLsn > attestedLsn);
      }
      opening.onFrame(frame);
    };
    const tellCheckpoint = ({ checkpointLsn }: Manifest): void => {
      if (checkpointLsn > 0) opening.onCheckpoint?.(checkpointLsn);
    };
    const recover = (): Promise<RecoveredLog> =>
      recoverLog({ ...held, directory }, { ...options, nowUs: clock() }, takeFrame, tellCheckpoint);
    const place = { ...options, ...held, directory, isExclusive: options.exclusive };
    const attachment = await attach(place, recover);
    if (attachment.recovered === null) tellCheckpoint(attachment.manifest);
    const { heads, recovered } = attachment;
    try {
      await syncDirectory(join(directory, "wal")); // the core's directory can be new
      const firstSegment = await nextSegment({ directory, io: held.io }, attachment);
      const { onCheckpoint = () => {} } = opening;
      const wal = new Wal(directory, { ...held, index, firstSegment, onCheckpoint }, attachment, { ...options, clock });
      try {
        await wal.#writer.start();
        if (recovered !== null) {
          const { facts } = recovered.found;
          await wal.#rewrite(unattested.filter(({ header }) => header.firstLsn > facts.attestedLsn));
          attachment.control.skipThrough(facts.lastLsn);
          opening.onRecovered(heads);
        }
      } catch (error) {
        await wal.#writer.abandon();
        throw error;
      }
      return wal;
    } catch (error) {
      leave(attachment);
      await attachment.sealed.close();
      throw error;
    }
  }

  private constructor(directory: string, parts: WalParts, attachment: Attachment, options: TimedOptions) {
    const { control, generation, heads, manifest, owner, recovered, sealed, storeId } = attachment;
    const { keys } = parts;
    this.directory = directory;
    this.storeId = storeId;
    this.recovery = recovered?.found.report ?? attachedReport(control.publishedWatermark);
    this.io = parts.io.description;
    this.heads = heads;
    this.slot = owner.core;
    this.generation = generation;
    this.#busyWaitMs = options.busyWaitMs;
    this.#io = parts.io;
    this.#pool = parts.pool;
    this.#keys = keys;
    this.#attachment = attachment;
    this.#exclusiveLock = options.exclusive ? parts.lock : null;
    const settled = recovered?.found.facts.segments ?? [];
    this.#segmentCount = settled.length;
    const recoveredLsn = recovered?.found.facts.lastLsn ?? 0;
    const segmentOwner = {
      directory: coreDirectory(directory, this.slot),
      storeId,
      core: this.slot,
      incarnation: control.incarnation,
      generation,
      segmentBytes: options.segmentBytes,
      keys,
    };
    this.#writer = new CoreWriter(parts.io, segmentOwner, control, parts.firstSegment, options, {
      onFrame: (firstLsn, segment, fileOffset) => {
        if (segment !== this.#lastSegment) this.#segmentCount++;
        this.#lastSegment = segment;
        if (firstLsn > recoveredLsn) parts.index.of(this.slot).add(firstLsn, segment, fileOffset);
      },
      onAdvance: (watermark) => {
        this.#hearCheckpoint();
        this.#listeners.tell(watermark);
        this.#company.wakeCommitted();
      },
      onSealed: () => this.#company.tell(),
      onBlocked: () => this.#company.watch(),
    });
    const place = { ...options, directory, storeId, io: parts.io, keys, control, heads, slot: this.slot };
    this.#company = new Company(place, {
      progress: () => this.#writer.progress(),
      isCommitted: (core, ofGeneration, epoch) => this.isCommitted(core, ofGeneration, epoch),
      hasListeners: () => this.#listeners.size > 0,
      waitsForOthers: () => this.#writer.waitsForOthers,
      takeAttachLock: () => this.#takeAttachLock(),
      fail: (error) => this.#writer.fail(error),
    });
    const tails = (): CoreTail[] => control.tails();
    this.#reader = new TieredReader({
      directory,
      manifest,
      hot: new LogReader({ ...parts, directory, storeId, manifest, settled, tails }),
      sealed,
      onCheckpoint: parts.onCheckpoint,
      sealingSequence: () => (this.#isClosed ? 0 : control.sealingSequence), // unmapped
    });
    const seal: Sealer = options.seal ?? ((task, words) => sealInWorker(options.sealWorker, task, words));
    const changing = {
      ...place,
      reader: this.#reader,
      watermark: () => this.watermark,
      tails,
      takeAttachLock: () => this.#takeAttachLock(),
      seal,
    };
    this.#sealedChanges = new SealedChanges(changing);
    this.#checkpointer = new Checkpointer(changing, this.#sealedChanges);
    this.remover = new LogRemover(directory, this.#sealedChanges, this.#checkpointer, () => this.assertWritable());
    this.keyChanges = new KeyChanges(changing, this.#sealedChanges, this.#checkpointer, () => this.assertWritable());
    this.#backups = new Backups({
      ...changing,
      pool: parts.pool,
      takenLsn: () => control.counter,
      checkpoint: () => this.checkpoint(),
    });
  }

  /** Another writer has made a checkpoint: who only writes would else keep in memory what is sealed. */
  #hearCheckpoint(): void {
    const { checkpointLsn } = this.#attachment.control;
    if (checkpointLsn <= this.#heardCheckpointLsn) return;
    this.#heardCheckpointLsn = checkpointLsn;
    this.#reader.refresh().catch(() => {}); // whoever reads looks again, and is told
  }

  async #rewrite(frames: readonly Frame[]): Promise<void> {
    for (const { header, body } of frames) {
      this.#attachment.control.skipThrough(header.firstLsn - 1); // voids
      await new Promise<void>((resolve, reject) => {
        // Opening has failed then, and not an append of unknown outcome.
        const failed = (error: StoreError): void => reject(error.cause ?? error);
        const ticket = { committed: () => resolve(), failed };
        this.#writer.rewrite(header.firstLsn, header.recordCount, header.recordedAt, body, ticket);
      });
    }
  }

  /** W: every LSN up to it is durable on every core, and visible. */
  get watermark(): number {
    // A writer that has ended knows only what it has heard itself.
    this.#toldWatermark = Math.max(this.#toldWatermark, this.#writer.currentWatermark);
    return this.#toldWatermark;
  }

  /** Every batch with an epoch up to this one is durable, but for those that were refused. */
  get durableEpoch(): number {
    return this.#writer.durableEpoch;
  }

  /** Bytes that the records of one append may have in all. */
  get appendBytesMax(): number {
    return this.#writer.appendBytesMax;
  }

  /** `closed` also after a failed log was closed: then nothing can be read any more either. */
  get status(): "open" | "closing" | "closed" | "failed" {
    return this.#isClosed ? "closed" : this.#writer.status;
  }

  get stats(): WalStats {
    return { ...this.#writer.stats, lastLsn: this.watermark, segments: this.#segmentCount };
  }

  /** `waitingAppends`: those that whoever appends keeps back. */
  health(waitingAppends: number): StoreHealth {
    return healthOf({ ...this.#writer.condition, status: this.status }, waitingAppends);
  }

  /** What every core that was attached since the log was recovered tells of itself. */
  cores(): CoreState[] {
    const { control } = this.#attachment;
    if (this.#isClosed) return [];
    return Array.from({ length: control.attachedCount }, (_, core) => control.coreState(core));
  }

  /** Dead writers that this one took over. */
  get takeovers(): readonly TakeoverReport[] {
    return [...this.#attachment.takeovers, ...this.#company.takeovers];
  }

  /** Throws `ERR_WAL_FAILED` or `ERR_STORE_CLOSED` when nothing can be appended any more. */
  assertWritable(): void {
    this.#writer.assertWritable();
  }

  /** The open batch with that much room, or null: then wait for `whenRoom` and ask again. */
  batchFor(recordCount: number, byteLength: number, alone: boolean): Batch | null {
    return this.#writer.batchFor(recordCount, byteLength, alone);
  }

  /** Says when the batch, with the records just added to it, must be sealed. Its tickets are told what became of it. */
  demand(batch: Batch, demand: SealDemand): void {
    this.#writer.demand(batch, demand);
  }

  whenRoom(): Promise<void> {
    return this.#writer.whenRoom();
  }

  /** Whether that batch of a core, this one or another, is durable with everything before it. */
  isCommitted(core: number, generation: number, epoch: number): boolean {
    // Appends ask this for every event of a busy stream: of its own batches a writer knows it without looking at shared memory.
    if (core === this.slot && generation === this.generation) return epoch <= this.#writer.durableEpoch;
    if (this.#isClosed) return true;
    const { lanes } = this.#attachment.control;
    return (
      lanes.isCommitted(core, generation, epoch, this.#writer.watermark) ||
      lanes.isCommitted(core, generation, epoch, this.watermark)
    );
  }

  /**
   * Resolves when the batch is committed, or it is worth a look whether it was taken back.
   *
   * @throws StoreError `ERR_WAL_BUSY` when it was waited for again and again, for `busyWaitMs` in all
   */
  whenChanged(core: number, generation: number, epoch: number): Promise<void> {
    return this.#company.whenChanged(core, generation, epoch);
  }

  /** A moment for somebody who holds a lock of the head table. */
  pause(): Promise<void> {
    return this.#company.pause();
  }

  /** Null for an exclusive opener, who has it. */
  #takeAttachLock(): Promise<AttachLock | null> {
    if (this.#exclusiveLock !== null) return Promise.resolve(null);
    return AttachLock.take(this.directory, false, this.#busyWaitMs);
  }

  /** Seals what is open and resolves when it is durable or was refused, or the log has failed. */
  flush(): Promise<void> {
    return this.#writer.drain();
  }

  /** Calls `listener` soon after W advanced, and when the log closes. What it throws is an uncaught error. Returns how to stop. */
  onAdvance(listener: (watermark: number) => void): () => void {
    const stop = this.#listeners.add(listener);
    this.#company.watch();
    return stop;
  }

  /**
   * Seals everything up to W, and removes the files that are not needed any more; null when another writer is doing it.
   *
   * @throws StoreError `ERR_IO_FAILED`, `ERR_WAL_CORRUPT`, `ERR_WAL_FAILED`, `ERR_STORE_CLOSED`: then nothing was removed
   */
  async checkpoint(compactsAll = false): Promise<CheckpointReport | null> {
    this.#writer.assertWritable();
    return this.#checkpointer.run(compactsAll);
  }

  /** The last LSN that is sealed, as far as this process knows. */
  get checkpointLsn(): number {
    return this.#reader.manifest.checkpointLsn;
  }

  /**
   * Makes a backup in another directory, or goes on with the one there: see `Backups.run`.
   *
   * @throws StoreError `ERR_STORE_EXISTS`, `ERR_WAL_FOREIGN`, `ERR_BACKUP_DIVERGED`, `ERR_STORE_BUSY`, and what `checkpoint` throws
   */
  async backup(directory: string, signal?: AbortSignal): Promise<BackupReport> {
    this.#writer.assertWritable();
    return this.#backups.run(directory, signal);
  }

  /** The last LSN that a truncation has dropped, as far as this process knows; 0: none. Reading in LSN order can begin behind it. */
  get horizonLsn(): number {
    return this.#reader.manifest.horizonLsn;
  }

  /** What is sealed, as far as this process knows. */
  get sealed(): SealedLog {
    return this.#reader.sealed;
  }

  /** Reading of single streams in what is sealed. */
  get tiers(): TieredReader {
    return this.#reader;
  }

  /** The frames with LSNs in (`after`, `through`]; `through` ≤ W. */
  frames(after: number, through: number): AsyncGenerator<LogFrame, void, undefined> {
    return this.#reader.frames(after, through);
  }

  /** The frames with LSNs in (`after`, `through`], the newest first; the last may hold others too. */
  framesBackwards(through: number, after?: number): AsyncGenerator<LogFrame, void, undefined> {
    return this.#reader.framesBackwards(through, after);
  }

  frameOf(lsn: number): Promise<LogFrame> {
    return this.#reader.frameOf(lsn);
  }

  /** Writes what is buffered, seals the log, and gives everything back. The second call waits for the first. */
  close(): Promise<void> {
    this.#closing ??= coded(() => this.#close().finally(() => this.#keys?.close()));
    return this.#closing;
  }

  async #close(): Promise<void> {
    let isClean = false;
    const stopping = Promise.all([this.#backups.stop(), this.#sealedChanges.stop(), this.keyChanges.stop()]);
    try {
      isClean = await this.#writer.close();
    } finally {
      await stopping;
      // However it ended, nothing is left that keeps others from opening the store.
      this.#isClosed = true;
      this.#listeners.tell(this.watermark);
      await this.#company.close();
      await this.#reader.close();
      try {
        const takeAttachLock = (): Promise<AttachLock | null> => this.#takeAttachLock();
        await detach(this.#attachment, { directory: this.directory, io: this.#io, isClean, takeAttachLock });
      } finally {
        this.#exclusiveLock?.release();
        await this.#io.close();
        this.#pool.close();
        // For what a broken ring has in flight the kernel may still store a done word: then the memory stays.
        if (this.#io.inFlightCount === 0) this.#unmap();
      }
    }
  }

  #unmap(): void {
    this.heads.close();
    this.#attachment.control.close();
  }
}
