/** How an event store is opened, checked. */

import type { StoreError } from "../errors.js";
import {
  type Compression,
  checkEncryption,
  checkOptionNames,
  choiceOption,
  type EncryptionOptions,
  type IoDemand,
  integerOption,
} from "../wal/index.js";
import { DURABILITIES } from "./appender.js";
import type { Durability } from "./event.js";
import type { Upcasters } from "./upcasters.js";

const MEBIBYTE = 1024 * 1024;

/** How a store is opened. */
export interface EventStoreOptions {
  /** When appends resolve unless they say otherwise. Default `"group"`. */
  readonly durability?: Durability;
  /** How long the async modes may keep an event in memory only. Default 10 ms. */
  readonly flushIntervalMs?: number;
  /**
   * .proto files whose message types events can have, by full name or, where it is the only one, by short name. Their imports are looked
   * for in the folder of the importing file and in those above it.
   */
  readonly schemas?: readonly string[];
  /** Refuse events of types that no schema has. Default false: they are stored as JSON. */
  readonly strictSchemas?: boolean;
  /**
   * Makes events of older versions into those of the newest, by event type: see README § Older events. Whoever opens the store to read or append such
   * types gives the same ones.
   */
  readonly upcasters?: Upcasters;
  /** Which I/O to demand. Default `"auto"`: the best that works here; `store.io` says which. */
  readonly io?: IoDemand;
  /** Size of a segment of the log. Default 64 MiB; an append can be as large as half of it, and 32 MiB at most. */
  readonly segmentBytes?: number;
  /**
   * Be the only writer: refuse to open beside others, and let no other writer open beside this one; both with `ERR_STORE_LOCKED`, within
   * 200 ms. Readers are let in. Default false.
   */
  readonly exclusive?: boolean;
  /** Refuse to open, with `ERR_STORE_WRITERS`, where so many writers have the store open already. Default 64, the most there can be. */
  readonly maxWriters?: number;
  /**
   * How long to wait for others, in ms. When opening: for the writes of a killed writer that are still in flight, and for others that open
   * or close; then `ERR_STORE_BUSY`. When appending: for a writer that is alive and has a stream's newest events in a batch that
   * does not become durable, and for a buffer, while none comes free; then `ERR_WAL_BUSY`, and nothing was written. Default 30,000.
   */
  readonly busyWaitMs?: number;
  /**
   * Make a checkpoint when so many bytes of the log, over all writers, are not sealed; 0: never for that reason. Default 256 MiB. However
   * much is written, checkpoints take at most a tenth of the time, by a thread of their own.
   */
  readonly checkpointWalBytes?: number;
  /** The same for a count of events, which bounds what is in memory of them. Default 4,000,000; 0: never for that reason. */
  readonly checkpointEntries?: number;
  /** Make a checkpoint when the last one is so long ago and something was written since. Default 0: never for that reason. */
  readonly checkpointIntervalMs?: number;
  /**
   * How blocks of sealed segments are packed that this writer makes, in checkpoints, compactions and scavenges: `"deflate"` where that saves an
   * eighth or more. Default `"none"`. Whatever there is is read.
   */
  readonly compression?: Compression;
  /**
   * The key of a store that is encrypted, or that is to be made so by creating it: see README § Encryption. Default: none, for a store that
   * is not.
   */
  readonly encryption?: EncryptionOptions | null;
  /** Told of each checkpoint that the store made by itself and that failed; it is tried again, later each time. Default: a process warning. */
  readonly onCheckpointError?: (error: StoreError) => void;
  /** Told the file for whose writes in flight opening, or taking over a dead writer, waits. Default: a process warning. */
  readonly onWaiting?: (path: string) => void;
}

const OPTION_NAMES = [
  "durability",
  "flushIntervalMs",
  "schemas",
  "strictSchemas",
  "upcasters",
  "io",
  "segmentBytes",
  "exclusive",
  "maxWriters",
  "busyWaitMs",
  "checkpointWalBytes",
  "checkpointEntries",
  "checkpointIntervalMs",
  "compression",
  "encryption",
  "onCheckpointError",
  "onWaiting",
] as const satisfies readonly (keyof EventStoreOptions)[];
export const COMPRESSIONS: readonly Compression[] = ["none", "deflate"];
const IO_DEMANDS = ["auto", "uring", "threadpool", "buffered"] as const;
const SEGMENT_BYTES = { min: 64 * 1024, max: 1024 * MEBIBYTE, default: 64 * MEBIBYTE };
const FLUSH_INTERVAL_MS = { min: 1, max: 60_000, default: 10 };
const MAX_WRITERS = { min: 1, max: 64, default: 64 };
const CHECKPOINT_WAL_BYTES = { min: 0, max: Number.MAX_SAFE_INTEGER, default: 256 * MEBIBYTE };
const CHECKPOINT_ENTRIES = { min: 0, max: Number.MAX_SAFE_INTEGER, default: 4_000_000 };
const CHECKPOINT_INTERVAL_MS = { min: 0, max: Number.MAX_SAFE_INTEGER, default: 0 };
const BUSY_WAIT_MS = { min: 0, max: 3_600_000, default: 30_000 };

/** The options without optionals. */
export type CheckedOptions = Required<EventStoreOptions>;

/** @throws TypeError */
export function checkDirectory(directory: unknown): asserts directory is string {
  if (typeof directory !== "string" || directory === "") throw new TypeError("a store needs the name of its directory");
}

/** @throws TypeError */
export function checkSchemas(schemas: unknown): asserts schemas is readonly string[] {
  if (!Array.isArray(schemas) || schemas.some((file) => typeof file !== "string")) {
    throw new TypeError("option schemas must be an array of file names");
  }
}

/** Null: none was given. @throws TypeError, RangeError naming the option */
export function checkedEncryption(encryption: EncryptionOptions | null | undefined): EncryptionOptions | null {
  if (encryption === undefined || encryption === null) return null;
  checkEncryption(encryption);
  return encryption;
}

function warnOfWaiting(path: string): void {
  process.emitWarning(`waiting for the writes that a killed owner left in flight to ${path}`, {
    code: "VARVE_WAITING",
  });
}

function warnOfCheckpoint(error: StoreError): void {
  process.emitWarning(`a checkpoint failed and will be tried again: ${error.message}`, { code: "VARVE_CHECKPOINT" });
}

/** The options with their defaults. @throws TypeError, RangeError naming the option */
export function checkedOptions(options: EventStoreOptions): CheckedOptions {
  checkOptionNames(options, OPTION_NAMES, "openStore");
  const { schemas = [], strictSchemas = false, exclusive = false, onWaiting = warnOfWaiting } = options;
  checkSchemas(schemas);
  if (typeof strictSchemas !== "boolean") throw new TypeError("option strictSchemas must be true or false");
  if (typeof exclusive !== "boolean") throw new TypeError("option exclusive must be true or false");
  const { onCheckpointError = warnOfCheckpoint } = options;
  if (typeof onCheckpointError !== "function") throw new TypeError("option onCheckpointError must be a function");
  if (typeof onWaiting !== "function") throw new TypeError("option onWaiting must be a function");
  const segmentBytes = integerOption(options.segmentBytes, "segmentBytes", SEGMENT_BYTES);
  if (segmentBytes % 4096 !== 0) throw new RangeError("option segmentBytes must be a multiple of 4096");
  return {
    durability: choiceOption(options.durability, "durability", DURABILITIES, "group"),
    io: choiceOption(options.io, "io", IO_DEMANDS, "auto"),
    flushIntervalMs: integerOption(options.flushIntervalMs, "flushIntervalMs", FLUSH_INTERVAL_MS),
    exclusive,
    maxWriters: integerOption(options.maxWriters, "maxWriters", MAX_WRITERS),
    busyWaitMs: integerOption(options.busyWaitMs, "busyWaitMs", BUSY_WAIT_MS),
    checkpointWalBytes: integerOption(options.checkpointWalBytes, "checkpointWalBytes", CHECKPOINT_WAL_BYTES),
    checkpointEntries: integerOption(options.checkpointEntries, "checkpointEntries", CHECKPOINT_ENTRIES),
    checkpointIntervalMs: integerOption(options.checkpointIntervalMs, "checkpointIntervalMs", CHECKPOINT_INTERVAL_MS),
    compression: choiceOption(options.compression, "compression", COMPRESSIONS, "none"),
    encryption: checkedEncryption(options.encryption),
    onCheckpointError,
    segmentBytes,
    schemas,
    strictSchemas,
    upcasters: options.upcasters ?? {},
    onWaiting,
  };
}
