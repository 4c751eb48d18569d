/**
 * The log of one store, open for writing: one core writer and a reader over one directory.
 *
 * Knows bytes and LSNs, no events. recovering → open → closing → closed | failed.
 */

import { existsSync, mkdirSync, realpathSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { StoreError } from "../errors.js";
import {
  type BlockIo,
  BufferPool,
  type IoDemand,
  type IoDescription,
  isNetworkFileSystem,
  openIo,
  syncDirectory,
} from "../ffi/index.js";
import { AdvanceListeners } from "./advance-listeners.js";
import type { AppendTicket, Batch } from "./batch.js";
import { type Clock, wallClock } from "./clock.js";
import { CoreWriter, type SealDemand, type WriterStats } from "./core-writer.js";
import { FrameIndex } from "./frame-index.js";
import type { Frame } from "./frame-stream.js";
import { HeadTable } from "./head-table.js";
import { LogReader, type ReadableSegment } from "./log-reader.js";
import type { Manifest } from "./manifest.js";
import { endIncarnation, type RecoveredLog, type RecoveryReport, recoverLog } from "./open-log.js";
import { coreDirectory, segmentPath } from "./segment-name.js";
import { StoreLock } from "./store-lock.js";
import { asStoreError, isLackOfSpace, logFull } from "./write-failure.js";

export const READ_CHUNK_BYTES: number = 1024 * 1024;
export const READ_CHUNKS_MAX = 64;
const CORE = 0;

export interface WalOptions {
  readonly io: IoDemand;
  readonly segmentBytes: number;
  readonly flushIntervalMs: number;
  /** How long to wait for the writes of a killed owner. */
  readonly busyWaitMs: number;
  readonly onWaiting: (path: string) => void;
  readonly clock?: Clock;
  /** Opens the I/O; `openIo` unless something stands between the log and the device. */
  readonly openIo?: typeof openIo;
}

type WrittenSegment = { -readonly [Key in keyof ReadableSegment]: ReadableSegment[Key] };

export interface WalStats extends WriterStats {
  readonly lastLsn: number;
  readonly segments: number;
}

export class Wal {
  readonly directory: string;
  readonly storeId: Uint8Array;
  readonly recovery: RecoveryReport;
  readonly io: IoDescription;
  /** One writer: its slot, its generation, and a head table for itself. */
  readonly slot: number = 0;
  readonly generation: number = 1;
  readonly heads: HeadTable;
  readonly #io: BlockIo;
  readonly #pool: BufferPool;
  readonly #lock: StoreLock;
  readonly #writer: CoreWriter;
  readonly #reader: LogReader;
  readonly #segments: WrittenSegment[];
  readonly #incarnation: number;
  readonly #manifest: Manifest;
  readonly #listeners = new AdvanceListeners();
  #closing: Promise<void> | null = null;
  #isClosed = false;

  /**
   * Opens the log in `directory`, creating the store where there is none, after recovering what the last owner left.
   * `onFrame` gets every record's frame in LSN order before this resolves.
   *
   * @throws StoreError `ERR_STORE_LOCKED`, `ERR_STORE_BUSY`, `ERR_WAL_CORRUPT`, `ERR_WAL_VERSION`, `ERR_WAL_FOREIGN`, `ERR_WAL_FULL`,
   * `ERR_IO_UNSUPPORTED`
   */
  static async open(directory: string, options: WalOptions, onFrame: (frame: Frame) => void): Promise<Wal> {
    const path = await makeDirectory(directory);
    if (isNetworkFileSystem(path)) {
      throw new StoreError(
        "ERR_IO_UNSUPPORTED",
        `${path} lies on a network file system, whose locks and syncs cannot be relied on`,
        {
          directory: path,
        },
      );
    }
    const lock = await StoreLock.take(path);
    try {
      const io = (options.openIo ?? openIo)(options.io, join(path, "lock"));
      const pool = new BufferPool(READ_CHUNK_BYTES, READ_CHUNKS_MAX);
      try {
        return await Wal.#recover(path, options, { lock, io, pool }, onFrame);
      } catch (error) {
        await io.close();
        pool.close();
        const known = asStoreError(error);
        throw isLackOfSpace(known) && known.code === "ERR_IO_FAILED" ? logFull(known) : error;
      }
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  static async #recover(
    directory: string,
    options: WalOptions,
    held: { readonly lock: StoreLock; readonly io: BlockIo; readonly pool: BufferPool },
    onFrame: (frame: Frame) => void,
  ): Promise<Wal> {
    const index = new FrameIndex();
    const clock = options.clock ?? wallClock();
    const place = { io: held.io, pool: held.pool, directory, core: CORE };
    /** Frames above the attested watermark so far: those that may have to be rewritten. */
    let unattested: Frame[] = [];
    let attestedLsn = 0;
    const recovered = await recoverLog(place, { ...options, nowUs: clock() }, (frame, position) => {
      index.add(frame.header.firstLsn, position.segment, position.fileOffset);
      unattested.push(frame);
      if (frame.header.durableLsn > attestedLsn) {
        attestedLsn = frame.header.durableLsn;
        unattested = unattested.filter(({ header }) => header.firstLsn > attestedLsn);
      }
      onFrame(frame);
    });
    const { facts } = recovered.found;
    const segments: WrittenSegment[] = facts.segments.map((segment) => ({ ...segment }));
    const wal = new Wal(directory, { ...held, index, segments }, recovered, { ...options, clock });
    try {
      await wal.#writer.start();
      await wal.#rewrite(unattested.filter(({ header }) => header.firstLsn > facts.attestedLsn));
    } catch (error) {
      await wal.#writer.abandon();
      throw error;
    }
    return wal;
  }

  private constructor(
    directory: string,
    parts: {
      lock: StoreLock;
      io: BlockIo;
      pool: BufferPool;
      index: FrameIndex;
      segments: WrittenSegment[];
    },
    { found, manifest, incarnation }: RecoveredLog,
    options: WalOptions & { clock: Clock },
  ) {
    this.directory = directory;
    this.heads = HeadTable.create(directory, this);
    this.storeId = Buffer.from(found.manifest.storeId, "hex");
    this.recovery = found.report;
    this.io = parts.io.description;
    this.#io = parts.io;
    this.#pool = parts.pool;
    this.#lock = parts.lock;
    this.#segments = parts.segments;
    this.#incarnation = incarnation.incarnation;
    this.#manifest = manifest;
    const { attestedLsn, lastLsn, lastRecordedAt } = found.facts;
    const coreFiles = coreDirectory(directory, CORE);
    const owner = {
      directory: coreFiles,
      storeId: this.storeId,
      core: CORE,
      incarnation: incarnation.incarnation,
      generation: 1,
      segmentBytes: options.segmentBytes,
    };
    const start = {
      firstSegment: incarnation.firstSegment,
      // What is to be rewritten counts as durable only then.
      durableLsn: attestedLsn,
      nextLsn: attestedLsn + 1,
      lastRecordedAt,
    };
    this.#writer = new CoreWriter(parts.io, owner, start, options, {
      onFrame: (firstLsn, segment, fileOffset, byteLength) => {
        this.#noteFrame(segment, fileOffset + byteLength, coreFiles);
        if (firstLsn > lastLsn) parts.index.add(firstLsn, segment, fileOffset);
      },
      onAdvance: (watermark) => this.#listeners.tell(watermark),
    });
    this.#reader = new LogReader({ ...parts, storeId: this.storeId, core: CORE });
  }

  /** Readers must know where the log ends: behind it they would read ahead into MiBs of zeros for every new event. */
  #noteFrame(segment: number, endOffset: number, directory: string): void {
    const current = this.#segments.at(-1);
    if (current?.segment === segment) {
      current.endOffset = endOffset;
      return;
    }
    const path = segmentPath(directory, segment);
    this.#segments.push({ segment, path, incarnation: this.#incarnation, endOffset });
  }

  async #rewrite(frames: readonly Frame[]): Promise<void> {
    for (const { header, body } of frames) {
      await new Promise<void>((resolve, reject) => {
        const ticket: AppendTicket = { committed: () => resolve(), failed: reject };
        this.#writer.rewrite(header.firstLsn, header.recordCount, header.recordedAt, body, ticket);
      });
    }
  }

  /** W: every LSN up to it is durable and visible. */
  get watermark(): number {
    return this.#writer.durableLsn;
  }

  /** Every batch with an epoch up to this one is durable, but for those that were refused. */
  get durableEpoch(): number {
    return this.#writer.durableEpoch;
  }

  /** Whether a batch is visible: with one writer, its own, and those of the writers before it. */
  isCommitted(slot: number, generation: number, epoch: number): boolean {
    return slot !== this.slot || generation !== this.generation || epoch <= this.#writer.durableEpoch;
  }

  /** Resolves when a batch may have become visible. */
  whenChanged(_slot: number, _generation: number, _epoch: number): Promise<void> {
    return this.#writer.drain();
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
    return { ...this.#writer.stats, lastLsn: this.watermark, segments: this.#segments.length };
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

  /** Seals what is open and resolves when it is durable or was refused, or the log has failed. */
  flush(): Promise<void> {
    return this.#writer.drain();
  }

  /** Calls `listener` soon after W advanced, and when the log closes. What it throws is an uncaught error. Returns how to stop. */
  onAdvance(listener: (watermark: number) => void): () => void {
    return this.#listeners.add(listener);
  }

  /** The frames with LSNs in (`after`, `through`]; `through` ≤ W. */
  frames(after: number, through: number): AsyncGenerator<Frame, void, undefined> {
    return this.#reader.frames(after, through);
  }

  /** The frames with LSNs up to `through`, the newest first. */
  framesBackwards(through: number): AsyncGenerator<Frame, void, undefined> {
    return this.#reader.framesBackwards(through);
  }

  frameOf(lsn: number): Promise<Frame> {
    return this.#reader.frameOf(lsn);
  }

  /** Writes what is buffered, seals the log, and gives everything back. The second call waits for the first. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      if (await this.#writer.close()) await this.#endIncarnation();
    } finally {
      // However it ended, nothing is left that keeps others from opening the store.
      this.#isClosed = true;
      this.#listeners.tell(this.watermark);
      await this.#reader.close();
      await this.#io.close();
      this.#pool.close();
      this.heads.close();
      this.#lock.release();
    }
  }

  async #endIncarnation(): Promise<void> {
    try {
      await endIncarnation(this.directory, this.#manifest, this.watermark);
    } catch (error) {
      // On a full disk it stays undone: the manifest would only have said what the log says itself.
      if (!isLackOfSpace(asStoreError(error))) throw error;
    }
  }
}

/** Makes the directory and those above it, durably, and returns its real path. */
async function makeDirectory(directory: string): Promise<string> {
  const made: string[] = [];
  try {
    makeMissing(resolve(directory), made);
    for (const path of made) await syncDirectory(dirname(path));
    return realpathSync(directory);
  } catch (error) {
    const { code: errno = "unknown", message } = error as NodeJS.ErrnoException;
    const what = `no store can be made in ${directory}: ${message}`;
    throw new StoreError("ERR_IO_FAILED", what, { directory, errno }, { cause: error });
  }
}

/** Not by mkdir with `recursive`: in a file system that takes no directories, as /proc, Node 20 tries for ever. */
function makeMissing(path: string, made: string[]): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
  const parent = dirname(path);
  if (parent !== path) makeMissing(parent, made);
  mkdirSync(path);
  made.push(path);
}

/** Whether there is a store in the directory. */
export function isStore(directory: string): boolean {
  return existsSync(join(directory, "lock"));
}
