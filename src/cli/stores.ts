/** Opening and closing the store around a command's work. */

import { StoreError } from "../errors.js";
import { openReader, openStore, type Store, type StoreOptions, type StoreReader } from "../index.js";
import { isStore } from "../wal/index.js";

/** Runs work on a store that is open for writing; made where there is none. The store is closed whatever happens. */
export async function withStore<Result>(
  directory: string,
  stderr: NodeJS.WriteStream,
  options: StoreOptions,
  work: (store: Store) => Promise<Result>,
): Promise<Result> {
  const onWaiting = (path: string): void => {
    stderr.write(`varve: waiting for the writes that a killed owner left in flight to ${path}\n`);
  };
  const store = await openStore(directory, { onWaiting, ...options });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** As `withStore`, but throws ERR_STORE_NOT_FOUND instead of making a store. */
export async function withExistingStore<Result>(
  directory: string,
  stderr: NodeJS.WriteStream,
  work: (store: Store) => Promise<Result>,
): Promise<Result> {
  if (!isStore(directory))
    throw new StoreError("ERR_STORE_NOT_FOUND", `there is no store in ${directory}`, { directory });
  return withStore(directory, stderr, {}, work);
}

/** Runs work on a store that is open for reading only; nothing in its directory changes. */
export async function withReader<Result>(
  directory: string,
  schemas: readonly string[],
  work: (reader: StoreReader) => Promise<Result>,
): Promise<Result> {
  const reader = await openReader(directory, { schemas });
  try {
    return await work(reader);
  } finally {
    await reader.close();
  }
}
