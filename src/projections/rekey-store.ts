/** Encrypting everything in a store's directory by another key. */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { StoreError } from "../errors.js";
import {
  COMPRESSIONS,
  type Compression,
  checkDirectory,
  checkEncryption,
  checkOptionNames,
  choiceOption,
  type EncryptionOptions,
  EventStore,
  isStore,
  type RekeyReport,
  type StateCiphers,
} from "../events/index.js";
import { CheckpointDirectory } from "./checkpoint-directory.js";
import { reencryptCheckpoint } from "./checkpoint-file.js";
import { graphEventCodecs } from "./graph/graph-event-codec.js";

/** How a store is rekeyed. */
export interface RekeyOptions {
  /** `key`: the new one. `otherKeys`: those by which the store is encrypted now; none for a store that is not. */
  readonly encryption: EncryptionOptions;
  /** Of the segments that are written anew, as `openStore` has it. Default `"none"`. */
  readonly compression?: Compression;
}

/** What was done. */
export interface StoreRekeyReport extends RekeyReport {
  readonly directory: string;
  /** Checkpoints of projections that were encrypted anew; those that could not be read are removed, and built again from the log. */
  readonly reencryptedCheckpoints: number;
  readonly removedCheckpoints: number;
}

/**
 * Encrypts everything in a store by one key: one that is encrypted by others, or one that is not encrypted. The store must not be open anywhere.
 *
 * It seals the log, writes every sealed segment anew that is encrypted otherwise, one after the other, and the checkpoints of projections. When it
 * resolves, no other key is needed any more. Interrupted, what it has done stays: until it was made again, all keys are needed. What it has
 * replaced is removed, and not overwritten: a disk may still have it. Backups stay as they are.
 *
 * @throws TypeError, RangeError for a wrong argument or option
 * @throws StoreError `ERR_STORE_NOT_FOUND`, `ERR_STORE_LOCKED`, `ERR_KEY_MISSING`, `ERR_KEY_WRONG`, and what `openStore` and `checkpoint` throw
 *
 * @example
 * ```ts
 * await rekeyStore("./shop", { encryption: { key: { file: "new.key" }, otherKeys: [{ file: "old.key" }] } });
 * ```
 */
export async function rekeyStore(directory: string, options: RekeyOptions): Promise<StoreRekeyReport> {
  checkDirectory(directory);
  checkOptionNames(options, ["encryption", "compression"], "rekeyStore");
  checkEncryption(options.encryption);
  const compression = choiceOption(options.compression, "compression", COMPRESSIONS, "none");
  if (!isStore(directory)) {
    throw new StoreError("ERR_STORE_NOT_FOUND", `there is no store in ${directory}`, { directory });
  }
  const { encryption } = options;
  // It makes its own checkpoint, and no other one is to come between.
  const own = { checkpointWalBytes: 0, checkpointEntries: 0, exclusive: true, compression };
  const store = await EventStore.open(directory, { encryption, ...own }, graphEventCodecs, true);
  try {
    let reencryptedCheckpoints = 0;
    let removedCheckpoints = 0;
    const report = await store.rekey(async () => {
      for (const file of await checkpointsIn(store.directory)) {
        const isWhole = await reencryptCheckpoint(file, store.stateCiphers as StateCiphers);
        if (isWhole) reencryptedCheckpoints++;
        else removedCheckpoints++;
      }
    });
    return { directory: store.directory, ...report, reencryptedCheckpoints, removedCheckpoints };
  } finally {
    await store.close();
  }
}

async function checkpointsIn(directory: string): Promise<string[]> {
  const folder = join(directory, "projections");
  let names: string[] = [];
  try {
    names = await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const files: string[] = [];
  for (const name of names.sort()) {
    const checkpoints = new CheckpointDirectory(directory, name);
    await checkpoints.removeTemporaryFiles();
    files.push(...(await checkpoints.otherThan(0)));
  }
  return files;
}
