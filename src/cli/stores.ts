/** Opening and closing the store around a command's work. */

import { StoreError } from "../errors.js";
import { openReader, openStore, type Store, type StoreOptions, type StoreReader } from "../index.js";
import { isStore } from "../wal/index.js";
import { encryptionOf, type KeyArguments } from "./arguments.js";

/** Which store, and its keys. */
export interface StorePlace extends KeyArguments {
  readonly store: string;
}

/** Runs work on a store that is open for writing; made where there is none. The store is closed whatever happens. */
export async function withStore<Result>(
  place: StorePlace,
  stderr: NodeJS.WriteStream,
  options: StoreOptions,
  work: (store: Store) => Promise<Result>,
): Promise<Result> {
  const onWaiting = (path: string): void => {
    stderr.write(`varve: waiting for the writes that a killed owner left in flight to ${path}\n`);
  };
  const store = await openStore(place.store, { onWaiting, encryption: encryptionOf(place), ...options });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** As `withStore`, but throws ERR_STORE_NOT_FOUND instead of making a store. */
export async function withExistingStore<Result>(
  place: StorePlace,
  stderr: NodeJS.WriteStream,
  work: (store: Store) => Promise<Result>,
  options: StoreOptions = {},
): Promise<Result> {
  const { store: directory } = place;
  if (!isStore(directory))
    throw new StoreError("ERR_STORE_NOT_FOUND", `there is no store in ${directory}`, { directory });
  return withStore(place, stderr, options, work);
}

/** Runs work on a store that is open for reading only; nothing in its directory changes. */
export async function withReader<Result>(
  place: StorePlace,
  schemas: readonly string[],
  work: (reader: StoreReader) => Promise<Result>,
): Promise<Result> {
  const reader = await openReader(place.store, { schemas, encryption: encryptionOf(place) });
  try {
    return await work(reader);
  } finally {
    await reader.close();
  }
}
