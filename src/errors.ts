/**
 * The one error family of Varve.
 *
 * Codes are the contract and stay stable within a major version; messages may change. Misuse by the caller (a wrong
 * type, an unknown option) is a `TypeError` or `RangeError` without a code, because it should be mended, not caught.
 */

/** Every code a `StoreError` can carry, with what it tells the caller. README § Errors repeats this list; a test compares them. */
export const STORE_ERROR_CODES = {
  ERR_IO_UNSUPPORTED: "the I/O that was demanded (io_uring, O_DIRECT) cannot be had here",
  ERR_IO_FAILED: "the operating system failed an operation that has no code of its own here",
  ERR_STORE_LOCKED: "the store is open elsewhere, and one of the two wants it alone",
  ERR_STORE_WRITERS: "the store has as many writers as it takes",
  ERR_STORE_BUSY: "another opener, or the writes of a killed writer, did not end within the waiting time",
  ERR_STORE_NOT_FOUND: "there is no store in this directory",
  ERR_STORE_EXISTS: "the directory is not empty, and what it has is not to be replaced; nothing was touched",
  ERR_STORE_CLOSED: "the store is closing or closed",
  ERR_STORE_READ_ONLY: "the store was opened for reading only",
  ERR_BACKUP_NOT_FOUND: "there is no backup in this directory",
  ERR_BACKUP_DIVERGED: "the backup in this directory holds events that this store does not have; nothing was touched",
  ERR_BACKUP_RANGE: "the backup does not reach up to this LSN or time",
  ERR_WAL_CORRUPT: "data known to be durable is damaged or missing; nothing was changed",
  ERR_WAL_VERSION: "the files have a format that this version does not read, mostly a newer one",
  ERR_WAL_FOREIGN: "a file of another store lies in this directory",
  ERR_WAL_TAMPERED:
    "an encrypted frame, block, event or key of a subject holds its checksum but not its authentication tag: somebody changed it; nothing was cut",
  ERR_KEY_MISSING:
    "the store is encrypted, or an event has a subject, and a key or key file that it needs was not given or cannot be had",
  ERR_KEY_WRONG: "none of the keys that were given is this store's, or what was given is no key",
  ERR_WAL_FAILED:
    "a write or sync of some writer failed; no append is taken until all have closed the store and it is reopened",
  ERR_WAL_OUTCOME_UNKNOWN: "the append was in flight when a write failed; it may or may not exist after reopening",
  ERR_WAL_FULL: "no space for another segment, or for the key of a subject; nothing was written and reading goes on",
  ERR_WAL_BUSY: "another writer is alive but does not go on, and this append depends on it; nothing was written",
  ERR_WAL_BUFFER_FULL: "the buffers are full and the caller asked not to wait",
  ERR_LOG_TRUNCATED:
    "what is asked for was dropped by a truncation of the log; `details.horizon` is the last LSN that was",
  ERR_ANCHOR_INVALID: "what was given is no anchor of a store, or of a newer version",
  ERR_ANCHOR_SIGNATURE: "the anchor is not signed, is signed by another key, or was changed afterwards",
  ERR_ANCHOR_FOREIGN: "the anchor is of another store",
  ERR_ANCHOR_ROLLED_BACK: "the store ends, or is sealed, before what the anchor is of: it is an older state of it",
  ERR_ANCHOR_FORKED: "the store has another history than the one that the anchor is of",
  ERR_WAL_TOO_LARGE: "one append is larger than a frame may be; nothing was written",
  ERR_EVENTS_VERSION_CONFLICT: "the stream is not at the expected version; nothing was written",
  ERR_EVENTS_INVALID_STREAM: "the stream name is empty, too long or not well-formed",
  ERR_EVENTS_INVALID_EVENT: "the event cannot be stored as given",
  ERR_EVENTS_SCHEMA: "the event does not match its registered protobuf type, or strictSchemas demands one",
  ERR_EVENTS_UPCAST: "an upcaster threw, or returned no data; the event is as it was stored",
  ERR_EVENTS_UNKNOWN_VERSION: "the event is of a newer version of its type than the upcasters here know of",
  ERR_STREAM_TOMBSTONED: "the stream is gone for good: it is neither read nor written any more",
  ERR_EVENTS_DUPLICATE_ID: "some of these event ids are in the stream already, but not as this append",
  ERR_PROJECTION_FAILED:
    "a projection stopped: its apply threw and its policy is to stop, or the log could not be read",
  ERR_PROJECTION_CHECKPOINT: "a projection's checkpoint could not be written; the projection goes on without it",
  ERR_PROJECTION_RUNNING: "a projection of this name already runs on this store",
  ERR_PROJECTION_REBUILDING: "a rebuild of this projection is under way already, here or in another thread or process",
  ERR_PROJECTION_NOT_PARKED: "no event with this LSN is parked in this projection",
  ERR_PROJECTION_NOT_FOUND: "no projection of this name has ever been saved in the store",
  ERR_PROJECTION_MODULE: "the module cannot be loaded, or does not export the projection",
  ERR_PROJECTION_TIMEOUT: "the projection did not reach the LSN within timeoutMs",
  ERR_PROJECTION_CLOSED: "the projection is closing or closed",
  ERR_GRAPH_EXISTS: "the node or edge exists somewhere in that valid period",
  ERR_GRAPH_NOT_FOUND: "the node or edge exists nowhere in that valid period",
  ERR_GRAPH_NO_ENDS: "an end of the edge exists nowhere in the edge's valid period",
  ERR_GRAPH_HAS_EDGES: "the node still has edges in that valid period; pass detach to delete them with it",
  ERR_GRAPH_EDGE_FIXED: "the edge exists with another label, source or target; those never change",
  ERR_GRAPH_FULL: "the graph in memory holds as much as its references can address",
  ERR_GRAPH_HISTORY: "superseded versions that lie in a file cannot be read from it; the graph is rebuilt from the log",
  ERR_GRAPH_HORIZON: "the horizon of a purge lies in the future, or before that of an earlier purge",
  ERR_GRAPH_SNAPSHOT_EXISTS: "a snapshot of the graph has this name already",
  ERR_GRAPH_SNAPSHOT_NOT_FOUND: "no snapshot of the graph has this name",
  ERR_GRAPH_VERSION_CONFLICT: "the node or edge is not at the expected version: another event has changed it",
  ERR_GRAPH_NOT_UNIQUE: "two nodes or edges would have the same value of a unique property at the same valid time",
  ERR_GRAPH_REQUIRED_PROPERTY: "a node or an edge would lack a property that a constraint requires of its label",
  ERR_GRAPH_CONSTRAINT_EXISTS: "the graph has this constraint already",
  ERR_GRAPH_CONSTRAINT_NOT_FOUND: "the graph has no such constraint; an upsert needs one that makes its key unique",
  ERR_GRAPH_KEY_AMBIGUOUS: "several nodes have the upsert's key in that valid period, one after another",
  ERR_GRAPH_BATCH_REFERENCE: "a reference of the batch is to nothing that an earlier item of the same batch makes",
  ERR_GRAPH_BATCH_LIMIT: "the batch has more items, or is larger, than a batch may be",
  ERR_GRAPH_INVALID_PERIOD: "the period is empty, reversed or outside the safe range",
  ERR_GRAPH_INVALID_PROPERTY: "the property cannot be stored as given",
  ERR_GRAPH_INVALID_VECTOR:
    "a vector has another size than its definition, or cannot be compared: it is no vector, not finite, or without direction",
  ERR_GRAPH_VECTORS_DEFINITION:
    "vectors cannot be kept like that: an unknown metric or storage, or a number out of range",
  ERR_GRAPH_VECTORS_EXISTS: "vectors of this label and property are defined already, and otherwise",
  ERR_GRAPH_VECTORS_NOT_FOUND: "no vectors of this label and property are defined",
  ERR_GRAPH_VECTORS_CLOSED: "there are too many nodes to compare their vectors one by one, and their index is not open",
  ERR_GRAPH_VECTORS_PEER:
    "the index of vectors needs the optional package usearch, which cannot be loaded; all else works without it",
  ERR_GRAPH_INVALID_RANGE: "the range of a property has no bound, bounds of two kinds, or nothing in it",
  ERR_IMPORT_SOURCE: "the repository or file cannot be read as what it should be",
  ERR_IMPORT_DIVERGED: "the store holds an import of another or rewritten history under this name",
} as const;

/** One of the stable codes. */
export type StoreErrorCode = keyof typeof STORE_ERROR_CODES;

/** The facts behind an error, by name: `stream`, `expected`, `actual`, `file`, `offset`, `lsn`, … */
export type StoreErrorDetails = Readonly<Record<string, string | number | boolean | null>>;

// A registered symbol, so that the guard also holds across two copies of this package in one process.
const STORE_ERROR_MARK = Symbol.for("varve.StoreError");

/**
 * What Varve throws when something outside the caller's code went wrong, or when the caller's data is refused.
 *
 * @example
 * ```ts
 * try {
 *   await store.append("account-42", [event], { expectedVersion: 3 });
 * } catch (error) {
 *   if (isStoreError(error, "ERR_EVENTS_VERSION_CONFLICT")) console.log(error.details.actual);
 *   else throw error;
 * }
 * ```
 */
export class StoreError extends Error {
  readonly code: StoreErrorCode;
  readonly details: StoreErrorDetails;

  constructor(code: StoreErrorCode, message: string, details: StoreErrorDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = "StoreError";
    this.code = code;
    this.details = details;
    Object.defineProperty(this, STORE_ERROR_MARK, { value: true });
  }
}

/** True for a `StoreError`, and for that code when one is given. */
export function isStoreError(value: unknown, code?: StoreErrorCode): value is StoreError {
  return (
    value instanceof Error &&
    (value as { [STORE_ERROR_MARK]?: unknown })[STORE_ERROR_MARK] === true &&
    (code === undefined || (value as StoreError).code === code)
  );
}
