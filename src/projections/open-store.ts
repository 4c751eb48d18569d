/** Opening: the event types that come with Varve, and the store around them. */

import { checkOptionNames, type EventMap, EventReader, EventStore } from "../events/index.js";
import { graphEventCodecs } from "./graph/graph-event-codec.js";
import { Store, type StoreOptions } from "./store.js";
import { StoreReader } from "./store-reader.js";

/** How a store is opened for reading. */
export interface ReaderOptions {
  /** .proto files whose message types the events have. */
  readonly schemas?: readonly string[];
}

/**
 * Opens the store in a directory for writing, creating it where there is none.
 *
 * One process at a time: a second opener is refused within 200 ms. What a killed owner left is recovered first: every acknowledged
 * event is there, no append is half there; `store.recovery` says what was found. Damage to data known to be durable refuses to open.
 *
 * @throws TypeError, RangeError for a wrong option
 * @throws StoreError `ERR_STORE_LOCKED`, `ERR_STORE_BUSY`, `ERR_WAL_CORRUPT`, `ERR_WAL_VERSION`, `ERR_WAL_FOREIGN`,
 *   `ERR_IO_UNSUPPORTED`, `ERR_EVENTS_SCHEMA`
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
 * Opens the store in a directory for reading only, beside a writer or without one. Writes nothing and takes no lock.
 *
 * Sees what the log itself attests as durable, which after a crash can be a few milliseconds less than the next writer will find.
 *
 * @throws StoreError `ERR_STORE_NOT_FOUND`, `ERR_WAL_CORRUPT`, `ERR_WAL_VERSION`, `ERR_WAL_FOREIGN`, `ERR_EVENTS_SCHEMA`
 */
export async function openReader<Events extends EventMap = EventMap>(
  directory: string,
  options: ReaderOptions = {},
): Promise<StoreReader<Events>> {
  checkOptionNames(options, ["schemas"], "openReader");
  return new StoreReader(await EventReader.open(directory, options.schemas ?? [], graphEventCodecs));
}
