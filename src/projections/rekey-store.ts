/** Encrypting everything in a store's directory by another key. */

import { StoreError } from "../errors.js";
import {
  COMPRESSIONS,
  type Compression,
  checkDirectory,
  checkEncryption,
  checkOptionNames,
  choiceOption,
  type EncryptionOptions,
  EventReader,
  EventStore,
  isEncrypted,
  isStore,
  type RekeyReport,
  type StateCiphers,
} from "../events/index.js";
import { CheckpointDirectory } from "./checkpoint-directory.js";
import { reencryptCheckpoint } from "./checkpoint-file.js";
import { projectionNames } from "./drop-checkpoints.js";
import { graphEventCodecs } from "./graph/graph-event-codec.js";
import { SnapshotDirectory } from "./snapshot-directory.js";

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
  /** Checkpoints of projections, and snapshots of streams, that were encrypted anew; those that could not be read are removed, and built again from the log. */
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
 * A store with subject keys needs `encryption.subjectKeys`: that file is sealed anew by the new key, and what was there before is overwritten. It does
 * not know any more then who was forgotten.
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
  if (encryption.subjectKeys === undefined) await assertNoSubjects(directory, encryption);
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

/** Looked at by a reader: who opens the store for writing has the new key named in it already. */
async function assertNoSubjects(directory: string, encryption: EncryptionOptions): Promise<void> {
  if (!(await isEncrypted(directory))) return;
  const reader = await EventReader.open(directory, [], graphEventCodecs, encryption);
  try {
    if (!(await reader.hasSubjectKeys())) return;
  } finally {
    await reader.close();
  }
  const message = `the store in ${directory} has subject keys: rekeying it needs the option encryption.subjectKeys`;
  throw new StoreError("ERR_KEY_MISSING", message, { directory });
}

async function checkpointsIn(directory: string): Promise<string[]> {
  const files: string[] = [];
  for (const name of await projectionNames(directory)) {
    const checkpoints = new CheckpointDirectory(directory, name);
    await checkpoints.removeTemporaryFiles();
    const snapshots = new SnapshotDirectory(directory, name);
    await snapshots.removeTemporaryFiles();
    files.push(...(await checkpoints.all()), ...(await snapshots.all()));
  }
  return files;
}
