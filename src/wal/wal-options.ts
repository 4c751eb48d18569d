/** How the log of a store is opened, and what an opener hears of it. */

import type { IoDemand, openIo } from "../ffi/index.js";
import type { Clock } from "./clock.js";
import type { EncryptionOptions } from "./crypt/store-keys.js";
import type { Frame } from "./frame-stream.js";
import type { HeadTable } from "./head-table.js";
import type { KeyOf } from "./record-key.js";
import type { Compression } from "./sealed/sealed-format.js";
import type { Sealer } from "./sealed-changes.js";
import type { WriterStats } from "./writer-contract.js";

export interface WalOptions {
  readonly io: IoDemand;
  readonly segmentBytes: number;
  readonly flushIntervalMs: number;
  /** Refuse company, and be refused where there is some. */
  readonly exclusive: boolean;
  readonly maxWriters: number;
  /** How long to wait for the writes of a killed writer, for others that come or go, and for batches of others that are alive. */
  readonly busyWaitMs: number;
  readonly onWaiting: (path: string) => void;
  /** Which stream a record belongs to: taking over a dead writer asks for it. */
  readonly keyOf: KeyOf;
  /** The module of the thread that makes checkpoints, which calls `serveSealing` with the same `keyOf`. */
  readonly sealWorker: URL;
  /** The keys of a store that is encrypted, or that is to be made so. */
  readonly encryption?: EncryptionOptions | null;
  /** Encrypt a store that is not: from now on, and what is there when it is rekeyed. */
  readonly turnsPlain?: boolean;
  /** Of the segments that this writer seals or writes anew. Default `"none"`. */
  readonly compression?: Compression;
  readonly clock?: Clock;
  /** Opens the I/O; `openIo` unless something stands between the log and the device. */
  readonly openIo?: typeof openIo;
  /** Makes checkpoints in another way than by the worker. */
  readonly seal?: Sealer;
}

/** What an opener hears of the log before anybody else can append. */
export interface WalOpening {
  /** Every record's frame in LSN order, where this opener recovers; nothing beside other writers. */
  readonly onFrame: (frame: Frame) => void;
  /** All frames were told: the heads of their streams belong into the table. Only after a recovery. */
  readonly onRecovered: (heads: HeadTable) => void;
  /**
   * Everything up to that LSN is sealed, and is read from there: called before the first frame, where there is a checkpoint, and for each later
   * one, whoever made it.
   */
  readonly onCheckpoint?: (checkpointLsn: number) => void;
}

export interface WalStats extends WriterStats {
  readonly lastLsn: number;
  readonly segments: number;
}
