/** Event stores for tests, without the codecs that the graph adds. */

import { EventReader, EventStore, type EventStoreOptions } from "../../../src/events/index.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

/** Opens a store in `directory`, or in a new one. */
export function openEventStore(options: EventStoreOptions = {}, directory = temporaryDirectory()): Promise<EventStore> {
  return EventStore.open(directory, options, new Map());
}

export function openEventReader(
  directory: string,
  schemas: readonly string[] = [],
  isMapped = false,
): Promise<EventReader> {
  return EventReader.open(directory, schemas, new Map(), null, isMapped);
}

/** Everything that an iteration yields. */
export async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}
