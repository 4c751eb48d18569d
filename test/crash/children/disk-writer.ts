/**
 * Appends large events to the store in argv[2] from a few callers at once, and says each acknowledgement in a line. Ends when an append
 * is refused, after saying the code: `refused CODE`, what the log then says to another append, and what can still be read.
 */

import { writeSync } from "node:fs";
import { openStore, type StoreError } from "../../../src/index.js";

const CALLERS = 4;
const [, , directory, segmentBytes, textCharacters] = process.argv as [string, string, string, string, string];

const say = (line: string): void => {
  writeSync(1, `${line}\n`);
};
const codeOf = (error: unknown): string => (error as StoreError).code ?? String(error);

try {
  const store = await openStore(directory, { segmentBytes: Number(segmentBytes) });
  say("open");
  const text = "d".repeat(Number(textCharacters));
  const callers = Array.from({ length: CALLERS }, async (_, caller) => {
    for (let index = 0; ; index++) {
      const { lsn } = await store.append(
        `caller-${caller}`,
        { type: "Large", data: { index, text } },
        { durability: "sync" },
      );
      say(`ack ${lsn}`);
    }
  });
  const ends = await Promise.allSettled(callers);
  for (const end of ends) if (end.status === "rejected") say(`refused ${codeOf(end.reason)}`);
  await store.append("after", { type: "Small", data: 1 }).then(
    () => say("after ok"),
    (error: unknown) => say(`after ${codeOf(error)}`),
  );
  let count = 0;
  for await (const _ of store.readAll()) count++;
  say(`read ${count}`);
  await store.close();
  say("closed");
} catch (error) {
  say(`failed ${codeOf(error)} ${(error as Error).message}`);
}
