/**
 * Appends events of the subjects `s-0` to `s-19` in turn to the stream argv[4] of the store argv[2] with the subject keys argv[3], until a line
 * comes. Begins when one has come. Says `open`, and of each event that was acknowledged its subject, its LSN, and how many lines had come when
 * it was begun.
 */

import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { openStore } from "../../../src/index.js";
import { keyOf } from "../../encryption/support.js";

const [directory = "", subjectKeys = "", stream = ""] = process.argv.slice(2);
const store = await openStore(directory, { encryption: { key: keyOf(1), subjectKeys } });
let lines = 0;
let begin: () => void = () => {};
const begun = new Promise<void>((resolve) => {
  begin = resolve;
});
let mustStop = false;
createInterface({ input: process.stdin }).on("line", (line) => {
  lines++;
  begin();
  if (line === "stop") mustStop = true;
});
writeSync(1, "open\n");
await begun;
for (let index = 0; !mustStop; index++) {
  const subject = `s-${index % 20}`;
  const linesBefore = lines;
  const { lsn } = await store.append(stream, { type: "Said", data: { subject, index }, subject });
  writeSync(1, `${subject} ${lsn} ${linesBefore}\n`);
  await new Promise((resolve) => setImmediate(resolve));
}
await store.close();
process.exit(0);
