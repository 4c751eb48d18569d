/**
 * Says what it has done of the life of subjects in the store argv[2] with the subject keys argv[3]: appends, forgets, and appends again; `rekey` as
 * argv[4] has it rekey the store instead. Each line is said when it is done.
 */

import { writeSync } from "node:fs";
import { openStore, rekeyStore } from "../../../src/index.js";
import { keyOf } from "../../encryption/support.js";

const [directory = "", subjectKeys = "", work = ""] = process.argv.slice(2);
const say = (line: string): void => void writeSync(1, `${line}\n`);

if (work === "rekey") {
  await rekeyStore(directory, { encryption: { key: keyOf(2), otherKeys: [keyOf(1)], subjectKeys } });
  say("rekeyed");
} else {
  const store = await openStore(directory, { encryption: { key: keyOf(1), subjectKeys } });
  const append = async (subject: string, text: string): Promise<void> => {
    await store.append(subject, { type: "Said", data: { text }, subject });
    say(text);
  };
  await append("ann", "ann-1");
  await append("bob", "bob-1");
  await append("ann", "ann-2");
  say("forgetting");
  await store.forget("ann");
  say("forgotten");
  await append("ann", "ann-3");
  await store.close();
  say("closed");
}
