/**
 * The control file, mapped by all writers of one store: its making and opening, the words of the whole store and of each slot.
 * control-layout.ts has the format, lanes.ts what is in flight.
 */

import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../assert.js";
import { StoreError } from "../errors.js";
import { MappedFile } from "../ffi/index.js";
import {
  CONTROL_MAGIC,
  CONTROL_VERSION,
  controlBytes,
  LONG,
  SLOT_LONG,
  SLOT_WORD,
  STATUS_ENDED,
  STATUS_OPEN,
  STORE_ID_AT,
  slotOffset,
  WORD,
} from "./control-layout.js";
import type { CoreTail } from "./core-cursor.js";
import { STORE_ID_BYTES } from "./format.js";
import { Lanes } from "./lanes.js";

/** What a core tells of itself. */
export interface CoreState {
  readonly core: number;
  /** How often the slot was attached since the log was recovered. */
  readonly generation: number;
  /** False: it closed, or was taken over. */
  readonly isLive: boolean;
  readonly pid: number;
  readonly frames: number;
  /** Acknowledged, as `frames` and `bytes`. */
  readonly records: number;
  readonly bytes: number;
  /** Written or being written, and not acknowledged. */
  readonly pendingRecords: number;
  /** Every batch up to this epoch is acknowledged, but for those that were refused. */
  readonly durableEpoch: number;
}

type CoreCounts = Pick<CoreState, "frames" | "records" | "bytes" | "pendingRecords" | "durableEpoch">;

export interface ControlStart {
  readonly storeId: Uint8Array;
  readonly incarnation: number;
  readonly durableLsn: number;
  readonly lastRecordedAt: number;
  readonly slotCount: number;
}

export class ControlFile {
  readonly file: MappedFile;
  readonly lanes: Lanes;
  readonly incarnation: number;
  readonly slotCount: number;

  static path(directory: string): string {
    return join(directory, "control");
  }

  /** Makes the control file of a new incarnation in the place of an older one. Alone, under the attach lock. */
  static create(directory: string, start: ControlStart): ControlFile {
    const path = ControlFile.path(directory);
    rmSync(`${path}.tmp`, { force: true }); // of an opener that died
    const file = MappedFile.create(`${path}.tmp`, controlBytes(start.slotCount));
    const { bytes, int32, float64, bigint64 } = file;
    bytes.set(start.storeId, STORE_ID_AT);
    float64[LONG.incarnation] = start.incarnation;
    int32[WORD.slotCount] = start.slotCount;
    bigint64[LONG.counter] = BigInt(start.durableLsn);
    bigint64[LONG.watermark] = BigInt(start.durableLsn);
    float64[LONG.recordedAt] = start.lastRecordedAt;
    int32[WORD.status] = STATUS_OPEN;
    int32[WORD.version] = CONTROL_VERSION;
    Atomics.store(int32, 0, CONTROL_MAGIC);
    renameSync(`${path}.tmp`, path);
    return new ControlFile(file);
  }

  /**
   * Without a store id, of any store.
   *
   * @throws StoreError `ERR_WAL_VERSION`, `ERR_WAL_FOREIGN`, `ERR_WAL_CORRUPT`
   */
  static open(directory: string, storeId: Uint8Array | null, mode: "read" | "write"): ControlFile {
    const path = ControlFile.path(directory);
    const file = MappedFile.open(path, mode);
    try {
      const { bytes, byteLength, int32 } = file;
      if (byteLength < controlBytes(1) || int32[0] !== CONTROL_MAGIC) {
        throw new StoreError("ERR_WAL_CORRUPT", `${path} is no control file`, { path });
      }
      const version = int32[WORD.version] as number;
      if (version !== CONTROL_VERSION) {
        throw new StoreError("ERR_WAL_VERSION", `${path} has version ${version}`, { path, version });
      }
      if (storeId !== null && !storeIdIn(bytes).equals(storeId)) {
        throw new StoreError("ERR_WAL_FOREIGN", `${path} belongs to another store`, { path });
      }
      if (byteLength !== controlBytes(int32[WORD.slotCount] as number)) {
        throw new StoreError("ERR_WAL_CORRUPT", `${path} has ${byteLength} bytes`, { path });
      }
      // Whoever looks at all lanes goes by it: a wrong one leads out of the file.
      const attached = int32[WORD.attached] as number;
      if (attached < 0 || attached > (int32[WORD.slotCount] as number)) {
        throw new StoreError("ERR_WAL_CORRUPT", `${path} says that ${attached} slots were attached`, { path });
      }
    } catch (error) {
      file.close();
      throw error;
    }
    return new ControlFile(file);
  }

  private constructor(file: MappedFile) {
    this.file = file;
    this.lanes = new Lanes(file);
    this.incarnation = file.float64[LONG.incarnation] as number;
    this.slotCount = file.int32[WORD.slotCount] as number;
  }

  /** Unmaps it. Nothing of it may be touched afterwards, and no write that publishes into it be in flight. */
  close(): void {
    this.file.close();
  }

  get isEnded(): boolean {
    return Atomics.load(this.file.int32, WORD.status) === STATUS_ENDED;
  }

  /** The last writer has closed, or a recovery replaces the file. */
  end(): void {
    Atomics.store(this.file.int32, WORD.status, STATUS_ENDED);
    this.#announce();
  }

  /** The slot whose write or sync failed; −1 when none did. */
  get poisonedBy(): number {
    return Atomics.load(this.file.int32, WORD.poison) - 1;
  }

  /** Nothing is acknowledged any more by anybody. */
  poison(slot: number): void {
    Atomics.compareExchange(this.file.int32, WORD.poison, 0, slot + 1);
    this.#announce();
  }

  /** The highest LSN taken. */
  get counter(): number {
    return Number(Atomics.load(this.file.bigint64, LONG.counter));
  }

  /** LSNs up to this one are void, and no batch gets them. Alone, before anybody else can take any. */
  skipThrough(lsn: number): void {
    if (lsn > this.counter) Atomics.store(this.file.bigint64, LONG.counter, BigInt(lsn));
  }

  /** The highest recordedAt given to a batch so far. */
  get latestRecordedAt(): number {
    return this.file.float64[LONG.recordedAt] as number;
  }

  /** W as somebody computed it last. */
  get publishedWatermark(): number {
    return Number(Atomics.load(this.file.bigint64, LONG.watermark));
  }

  /** Sequence number of the manifest that last changed what is sealed, as far as anybody told of it; 0 when nobody did. */
  get sealingSequence(): number {
    return Number(Atomics.load(this.file.bigint64, LONG.sealing));
  }

  /** LSN of the last checkpoint that anybody told of; 0 when nobody did. */
  get checkpointLsn(): number {
    return Number(Atomics.load(this.file.bigint64, LONG.checkpoint));
  }

  /** What the manifest says already. */
  publishCheckpoint(lsn: number, manifestSequence: number): void {
    Atomics.store(this.file.bigint64, LONG.sealing, BigInt(manifestSequence));
    Atomics.store(this.file.bigint64, LONG.checkpoint, BigInt(lsn));
  }

  /** Changes whenever LSNs are taken, and somebody comes or goes. */
  get turn(): number {
    return Atomics.load(this.file.int32, WORD.turn);
  }

  get turnOffset(): number {
    return WORD.turn * 4;
  }

  #announce(): void {
    Atomics.add(this.file.int32, WORD.turn, 1);
  }

  /** Whether anybody but `ownSlot` sleeps on the turn. */
  hasSleepers(ownSlot: number): boolean {
    const { int32 } = this.file;
    if (Atomics.load(int32, WORD.sleepingReaders) > 0) return true;
    for (let slot = 0; slot < this.attachedCount; slot++) {
      if (slot !== ownSlot && Atomics.load(int32, slotWord(slot) + SLOT_WORD.isSleeping) !== 0) return true;
    }
    return false;
  }

  setSleeping(slot: number, isSleeping: boolean): void {
    Atomics.store(this.file.int32, slotWord(slot) + SLOT_WORD.isSleeping, isSleeping ? 1 : 0);
  }

  /** A reader, who has no slot, begins (1) or ends (−1) to sleep. */
  addSleepingReader(count: 1 | -1): void {
    Atomics.add(this.file.int32, WORD.sleepingReaders, count);
  }

  /** Slots below this number have been attached at some time. */
  get attachedCount(): number {
    return Atomics.load(this.file.int32, WORD.attached);
  }

  /**
   * Where the writers are. Readers must know where the cores end: behind it they would read ahead into MiBs of zeros for every new
   * event.
   */
  tails(): CoreTail[] {
    const tails: CoreTail[] = [];
    for (let core = 0; core < this.attachedCount; core++) {
      const tail = this.lanes.tailOf(core);
      if (tail !== null) tails.push({ core, ...tail });
    }
    return tails;
  }

  /**
   * The first segment of a live slot that a checkpoint must leave: where its last durable frame lies, and every batch that its owner has not
   * acknowledged. If the owner dies, whoever takes it over reads from them which version the streams of a lost batch had before. An owner that lives
   * acknowledges at once, so that it is hardly ever more than the first. Null when the slot tells of none.
   */
  firstNeededSegment(slot: number): number | null {
    const tail = this.lanes.tailOf(slot);
    if (tail === null) return null;
    const { durableEpoch } = this.coreState(slot);
    const segments = this.lanes.statesOf(slot).filter(({ epoch }) => epoch > durableEpoch);
    return Math.min(tail.segment, ...segments.map(({ segment }) => segment));
  }

  isLive(slot: number): boolean {
    return Atomics.load(this.file.int32, slotWord(slot) + SLOT_WORD.status) !== 0;
  }

  generationOf(slot: number): number {
    return Atomics.load(this.file.int32, slotWord(slot) + SLOT_WORD.generation);
  }

  /** Makes a free slot live with its next generation, which it returns. Under the attach lock. */
  attach(slot: number, pid: number): number {
    assert(!this.isLive(slot), "a slot is attached when it is free");
    const { int32, float64 } = this.file;
    const word = slotWord(slot);
    // The generation first: of an older one every batch is settled, whatever the lanes say.
    const generation = Atomics.add(int32, word + SLOT_WORD.generation, 1) + 1;
    this.lanes.clear(slot);
    this.setCounts(slot, { frames: 0, records: 0, bytes: 0, pendingRecords: 0, durableEpoch: 0 });
    float64[(word >> 1) + SLOT_LONG.pid] = pid;
    this.setSleeping(slot, false);
    Atomics.store(int32, word + SLOT_WORD.status, 1);
    if (slot >= this.attachedCount) Atomics.store(int32, WORD.attached, slot + 1);
    this.#announce();
    return generation;
  }

  /** Nothing of the slot is pending any more. */
  detach(slot: number): void {
    Atomics.store(this.file.int32, slotWord(slot) + SLOT_WORD.status, 0);
    this.setSleeping(slot, false);
    this.#announce();
  }

  setCounts(slot: number, counts: CoreCounts): void {
    const { float64 } = this.file;
    const long = slotWord(slot) >> 1;
    float64[long + SLOT_LONG.frames] = counts.frames;
    float64[long + SLOT_LONG.records] = counts.records;
    float64[long + SLOT_LONG.bytes] = counts.bytes;
    float64[long + SLOT_LONG.pendingRecords] = counts.pendingRecords;
    float64[long + SLOT_LONG.durableEpoch] = counts.durableEpoch;
  }

  coreState(slot: number): CoreState {
    const { float64 } = this.file;
    const long = slotWord(slot) >> 1;
    return {
      core: slot,
      generation: this.generationOf(slot),
      isLive: this.isLive(slot),
      pid: float64[long + SLOT_LONG.pid] as number,
      frames: float64[long + SLOT_LONG.frames] as number,
      records: float64[long + SLOT_LONG.records] as number,
      bytes: float64[long + SLOT_LONG.bytes] as number,
      pendingRecords: float64[long + SLOT_LONG.pendingRecords] as number,
      durableEpoch: float64[long + SLOT_LONG.durableEpoch] as number,
    };
  }
}

function slotWord(slot: number): number {
  return slotOffset(slot) >> 2;
}

function storeIdIn(bytes: Buffer): Buffer {
  return bytes.subarray(STORE_ID_AT, STORE_ID_AT + STORE_ID_BYTES);
}
