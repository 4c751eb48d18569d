/**
 * The log of one store, for reading only: writes nothing, takes no lock, and works beside a writer in another process.
 *
 * Serves what the log attests as durable. After a crash that can be a few frames less than the next writer will find: whether those
 * are durable is not for a reader to decide.
 */

import { realpathSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { assert } from "../assert.js";
import { isStoreError, StoreError } from "../errors.js";
import { type BlockIo, BufferPool, type IoDescription, openIo } from "../ffi/index.js";
import { AdvanceListeners } from "./advance-listeners.js";
import { FrameIndex } from "./frame-index.js";
import type { Frame } from "./frame-stream.js";
import { LogReader, type ReadableSegment } from "./log-reader.js";
import type { FramePosition } from "./log-scan.js";
import { MANIFEST_NAME, readManifest } from "./manifest.js";
import { findLog, type RecoveryReport } from "./open-log.js";
import { coreDirectory, listSegments } from "./segment-name.js";
import { READ_CHUNK_BYTES, READ_CHUNKS_MAX } from "./wal.js";

const CORE = 0;
/** A writer can be seen between two of its writes, which then looks like damage; but damage stays where it is, and that does not. */
const SCAN_TRIES_MAX = 20;
const SCAN_RETRY_MS = 20;

export class LogView {
  readonly directory: string;
  readonly storeId: Uint8Array;
  readonly io: IoDescription;
  readonly #io: BlockIo;
  readonly #pool: BufferPool;
  readonly #onFrame: (frame: Frame) => void;
  readonly #index = new FrameIndex();
  readonly #segments: ReadableSegment[] = [];
  readonly #reader: LogReader;
  readonly #listeners = new AdvanceListeners();
  #report: RecoveryReport | null = null;
  #watermark = 0;
  #deliveredLsn = 0;
  #seenState = "";
  #status: "open" | "closed" = "open";
  #refreshing: Promise<boolean> | null = null;

  /**
   * Reads the log once; `onFrame` gets the frames of all visible records in LSN order.
   *
   * @throws StoreError `ERR_STORE_NOT_FOUND`, `ERR_WAL_CORRUPT`, `ERR_WAL_VERSION`, `ERR_WAL_FOREIGN`
   */
  static async open(directory: string, onFrame: (frame: Frame) => void): Promise<LogView> {
    const path = await manifestIn(directory);
    const real = realpathSync(directory);
    const io = openIo("auto", path);
    const pool = new BufferPool(READ_CHUNK_BYTES, READ_CHUNKS_MAX);
    try {
      const found = await readManifest(real);
      // One that cannot be believed is for the scan to judge.
      const storeId = found.kind === "manifest" ? found.manifest.storeId : "";
      const view = new LogView(real, { io, pool, onFrame }, Buffer.from(storeId, "hex"));
      await view.#scan();
      return view;
    } catch (error) {
      await io.close();
      pool.close();
      throw error;
    }
  }

  private constructor(
    directory: string,
    parts: { io: BlockIo; pool: BufferPool; onFrame: (frame: Frame) => void },
    storeId: Uint8Array,
  ) {
    this.directory = directory;
    this.storeId = storeId;
    this.io = parts.io.description;
    this.#io = parts.io;
    this.#pool = parts.pool;
    this.#onFrame = parts.onFrame;
    this.#reader = new LogReader({
      ...parts,
      storeId,
      core: CORE,
      index: this.#index,
      segments: this.#segments,
    });
  }

  #deliver({ frame, position }: PlacedFrame): void {
    this.#deliveredLsn = frame.header.firstLsn + frame.header.recordCount - 1;
    this.#index.add(frame.header.firstLsn, position.segment, position.fileOffset);
    this.#onFrame(frame);
  }

  /** Reads the log, delivering the frames that are new and attested as soon as they are. */
  async #scan(): Promise<void> {
    const place = { io: this.#io, pool: this.#pool, directory: this.directory, core: CORE };
    let lastProblem = "";
    for (let tries = 1; ; tries++) {
      const state = await stateOf(this.directory);
      /** Frames whose attestation is still to come: those that were in flight together. */
      const pending: PlacedFrame[] = [];
      const deliverThrough = (attestedLsn: number): void => {
        while (pending[0] !== undefined && pending[0].frame.header.firstLsn <= attestedLsn) {
          this.#deliver(pending.shift() as PlacedFrame);
        }
      };
      try {
        const found = await findLog(place, (frame, position) => {
          if (frame.header.firstLsn > this.#deliveredLsn) pending.push({ frame, position });
          deliverThrough(frame.header.durableLsn);
        });
        if (found === "absent") throw noStore(this.directory);
        deliverThrough(found.facts.attestedLsn);
        this.#segments.splice(0, this.#segments.length, ...found.facts.segments);
        this.#report = found.report;
        this.#watermark = found.facts.attestedLsn;
        this.#seenState = state;
        return;
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        const mayPass = code === "ENOENT" || isStoreError(error, "ERR_WAL_CORRUPT");
        if (!mayPass || tries === SCAN_TRIES_MAX || message === lastProblem) throw error;
        lastProblem = message;
        await delay(SCAN_RETRY_MS);
      }
    }
  }

  /** The highest visible LSN. */
  get watermark(): number {
    return this.#watermark;
  }

  /** What the last look at the log found. */
  get report(): RecoveryReport {
    assert(this.#report !== null, "an open view has scanned its log");
    return this.#report;
  }

  get status(): "open" | "closed" {
    return this.#status;
  }

  get segmentCount(): number {
    return this.#segments.length;
  }

  /** Looks whether a writer has gone on; true when there is more to read. Who asks meanwhile gets the same answer. */
  refresh(): Promise<boolean> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #refresh(): Promise<boolean> {
    if (this.#status === "closed" || (await stateOf(this.directory)) === this.#seenState) return false;
    const before = this.#watermark;
    await this.#scan();
    if (this.#watermark === before) return false;
    this.#listeners.tell(this.#watermark);
    return true;
  }

  frames(after: number, through: number): AsyncGenerator<Frame, void, undefined> {
    return this.#reader.frames(after, through);
  }

  framesBackwards(through: number): AsyncGenerator<Frame, void, undefined> {
    return this.#reader.framesBackwards(through);
  }

  frameOf(lsn: number): Promise<Frame> {
    return this.#reader.frameOf(lsn);
  }

  onAdvance(listener: (watermark: number) => void): () => void {
    return this.#listeners.add(listener);
  }

  async close(): Promise<void> {
    if (this.#status === "closed") return;
    this.#status = "closed";
    await this.#refreshing?.catch(() => {}); // its caller is told
    this.#listeners.tell(this.#watermark);
    await this.#reader.close();
    await this.#io.close();
    this.#pool.close();
  }
}

interface PlacedFrame {
  readonly frame: Frame;
  readonly position: FramePosition;
}

/** A file of the store to judge its file system by; and the proof that there is one. */
async function manifestIn(directory: string): Promise<string> {
  let names: string[] = [];
  try {
    names = await readdir(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "ENOTDIR") throw error;
  }
  // The newest: older ones may be gone in a moment.
  const name = names
    .filter((entry) => MANIFEST_NAME.test(entry))
    .sort()
    .at(-1);
  if (name === undefined) throw noStore(directory);
  return join(directory, name);
}

/** What changes whenever a writer has written: names, sizes and times of the segments. */
async function stateOf(directory: string): Promise<string> {
  const names = await listSegments(coreDirectory(directory, CORE));
  const parts: string[] = [];
  for (const { segment, path } of names) {
    const found = await stat(path).catch(() => null); // removed meanwhile: the next state differs
    if (found !== null) parts.push(`${segment}:${found.size}:${found.mtimeMs}`);
  }
  return parts.join(" ");
}

function noStore(directory: string): StoreError {
  return new StoreError("ERR_STORE_NOT_FOUND", `there is no store in ${directory}`, { directory });
}
