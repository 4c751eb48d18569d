/**
 * The work whose writes are recorded: two writers of one store that append from several callers each and make checkpoints, then a backup,
 * everything closed, and once more. Arguments: the directory for the store and its backup, and the file that takes marks.
 *
 * Each acknowledgement is written to the marks, `NAME LSN`, before anything else is done: so it stands in the record behind all that was
 * durable when it was given. `backup LSN` says that a backup up to there is made.
 */

import { openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { openStore, type Store } from "../../../src/index.js";
import { CALLER_COUNT, planOf } from "../../crash/kill-plan.js";
import { appendPlanned } from "../../crash/planned-append.js";
import { BACKUP, STORE } from "../power-cut-place.js";

const [, , directory, marksPath] = process.argv as [string, string, string, string];
const APPENDS_PER_CALLER = 6;
const LIVES = 2;
const OPTIONS = { segmentBytes: 128 * 1024, checkpointWalBytes: 0, checkpointEntries: 0, flushIntervalMs: 3 };

const marks = openSync(marksPath, "w");

async function call(store: Store, life: number, caller: number): Promise<void> {
  for (let number = 0; number < APPENDS_PER_CALLER; number++) {
    const plan = planOf(`${life}.${caller}.${number}`);
    const lsn = await appendPlanned(store, plan);
    writeSync(marks, `${plan.name} ${lsn}`);
    if (caller === 0 && number % 3 === 2) await store.checkpoint();
  }
}

for (let life = 0; life < LIVES; life++) {
  const stores = [
    await openStore(join(directory, STORE), OPTIONS),
    await openStore(join(directory, STORE), OPTIONS),
  ] as const;
  await Promise.all(
    Array.from({ length: CALLER_COUNT }, (_, caller) => call(stores[caller % 2] as Store, life, caller)),
  );
  if (life > 0) await stores[0].compact();
  const { lsn } = await stores[0].backup(join(directory, BACKUP));
  writeSync(marks, `${BACKUP} ${lsn}`);
  for (const store of stores) await store.close();
}
