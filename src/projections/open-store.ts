/** Opening: the event types that come with Varve, and the store around them. */

import {
  checkOptionNames,
  type EncryptionOptions,
  type EventMap,
  EventReader,
  EventStore,
  type Upcasters,
} from "../events/index.js";
import { graphEventCodecs } from "./graph/graph-event-codec.js";
import { Store, type StoreOptions } from "./store.js";
import { StoreReader } from "./store-reader.js";

/** How a store is opened for reading. */
export interface ReaderOptions {
  /** .proto files whose message types the events have. */
  readonly schemas?: readonly string[];
  /**
   * Reads single sealed events, as `readStream` does, out of mapped files: where many processes on one machine read the same streams, they
   * share the page cache, and what is there costs no input. What is not there holds up the event loop while it is read, and a device
   * that fails then ends the process with SIGBUS. Default false: past the page cache, through io_uring.
   */
  readonly mapped?: boolean;
  /** As `openStore` has them: events of older versions are read as those of the newest. */
  readonly upcasters?: Upcasters;
  /** The key of a store that is encrypted. Default: none. */
  readonly encryption?: EncryptionOptions | null;
}

/**
 * Opens the store in a directory for writing, creating it where there is none.
 *
 * Beside others: up to 64 threads and processes have it open at once and append to one log. Who comes while none of them lives recovers
 * the log first: every acknowledged event is there, no append is half there; damage to data known to be durable refuses to open. Who
 * comes later attaches to what is there, without reading the log. `store.recovery` says which it was and what was found. With
 * `exclusive`, company is refused.
 *
 * @throws TypeError, RangeError for a wrong option
 * @throws StoreError `ERR_STORE_LOCKED`, `ERR_STORE_WRITERS`, `ERR_STORE_BUSY`, `ERR_WAL_CORRUPT`, `ERR_WAL_VERSION`,
 *   `ERR_WAL_FOREIGN`, `ERR_WAL_FULL`, `ERR_IO_FAILED`, `ERR_IO_UNSUPPORTED`, `ERR_EVENTS_SCHEMA`
 * @throws StoreError `ERR_KEY_MISSING`, `ERR_KEY_WRONG`, `ERR_WAL_TAMPERED` for the keys in `encryption`
 * @throws StoreError `ERR_WAL_FAILED` while writers that a failed write has stopped still have the store open
 *
 * @example
 * ```ts
 * await using store = await openStore("./data", { durability: "group" });
 * await store.append("account-42", { type: "Deposited", data: { cents: 500 } });
 * ```
 */
export async function openStore<Events extends EventMap = EventMap>(
  directory: string,
  options: StoreOptions = {},
): Promise<Store<Events>> {
  return new Store(await EventStore.open(directory, options, graphEventCodecs));
}

/**
 * Opens the store in a directory for reading only, beside writers or without any. Takes no lock, and writes nothing but, beside writers,
 * that it sleeps until they have news.
 *
 * Beside writers it sees what they have had acknowledged; without any, or where it may not write the control file, what the log itself
 * attests as durable, which after a crash can be a few milliseconds less than the next writer will find. It follows them while
 * somebody subscribes or a graph runs on it: told by them, or by looking every 100 ms where they cannot tell it. Otherwise it sees what
 * was there when it was opened, or at the last `refresh`.
 *
 * @throws StoreError `ERR_STORE_NOT_FOUND`, `ERR_WAL_CORRUPT`, `ERR_WAL_VERSION`, `ERR_WAL_FOREIGN`, `ERR_EVENTS_SCHEMA`,
 *   `ERR_KEY_MISSING`, `ERR_KEY_WRONG`, `ERR_WAL_TAMPERED`
 */
export async function openReader<Events extends EventMap = EventMap>(
  directory: string,
  options: ReaderOptions = {},
): Promise<StoreReader<Events>> {
  checkOptionNames(options, ["schemas", "mapped", "upcasters", "encryption"], "openReader");
  const { schemas = [], mapped = false, upcasters, encryption } = options;
  if (typeof mapped !== "boolean") throw new TypeError("option mapped must be true or false");
  return new StoreReader(await EventReader.open(directory, schemas, graphEventCodecs, encryption, mapped, upcasters));
}
