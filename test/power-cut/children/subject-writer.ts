/**
 * The work with subjects whose writes are recorded: a store and its key file are made, two writers append events of subjects, whose keys fill several
 * blocks of the key file, and forget some of them, some twice; checkpoints beside; then everything gets another master key, and once more.
 * Arguments: the directory for the store and the key file, and the file that takes marks.
 *
 * One thing after the other is done with each subject. Marks: `asked SUBJECT` before it is forgotten, `forgot SUBJECT` when that is
 * acknowledged, `said ID LSN` of an acknowledged append.
 */

import { openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { openStore, rekeyStore, type Store } from "../../../src/index.js";
import { STORE, SUBJECT_KEYS } from "../power-cut-place.js";
import { ASKED, FORGOT, idOf, inputOf, nameOf, optionsOf, SAID, SUBJECT_COUNT } from "../subject-plan.js";

const [, , directory, marksPath] = process.argv as [string, string, string, string];
const CALLER_COUNT = 4;
const LIVES = 2;
/** Every so many of the subjects is forgotten in each life. */
const FORGOTTEN_EVERY = 3;

const marks = openSync(marksPath, "w");
const place = join(directory, STORE);
const subjectKeys = join(directory, SUBJECT_KEYS);
/** How often each was asked to be forgotten. */
const rounds = new Map<string, number>();

async function say(store: Store, subject: string, number: number): Promise<void> {
  const event = { subject, round: rounds.get(subject) ?? 0, number };
  const { lsn } = await store.append(`about-${subject}`, inputOf(event));
  writeSync(marks, `${SAID} ${idOf(event)} ${lsn}`);
}

async function live(store: Store, life: number, index: number): Promise<void> {
  const subject = nameOf(index);
  await say(store, subject, 2 * life);
  if ((index + life) % FORGOTTEN_EVERY !== 0) return;
  writeSync(marks, `${ASKED} ${subject}`);
  rounds.set(subject, (rounds.get(subject) ?? 0) + 1);
  await store.forget(subject);
  writeSync(marks, `${FORGOT} ${subject}`);
  // Behind it the subject is another one, with a key of its own.
  if (index % 2 === 0) await say(store, subject, 2 * life + 1);
}

async function call(store: Store, life: number, caller: number): Promise<void> {
  for (let index = caller; index < SUBJECT_COUNT; index += CALLER_COUNT) await live(store, life, index);
  if (caller === 0) await store.checkpoint();
}

for (let life = 0; life < LIVES; life++) {
  const options = optionsOf(subjectKeys, life > 0);
  if (life > 0) await rekeyStore(place, { encryption: options.encryption });
  const stores = [await openStore(place, options), await openStore(place, options)] as const;
  await Promise.all(
    Array.from({ length: CALLER_COUNT }, (_, caller) => call(stores[caller % 2] as Store, life, caller)),
  );
  for (const store of stores) await store.close();
}
