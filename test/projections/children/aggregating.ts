/**
 * Appends to the stream "a" of the store argv[2] and folds it after each append, keeping a snapshot each time. After argv[3] folds it goes on for
 * argv[4] ms, and kills itself.
 */

import { type Aggregate, openStore, type RecordedEvent } from "../../../src/index.js";

type Bank = { Deposited: { cents: number } };

const account: Aggregate<{ cents: number; versions: number[] }, RecordedEvent<Bank>> = {
  initial: () => ({ cents: 0, versions: [] }),
  evolve: ({ cents, versions }, { data, version }) => ({ cents: cents + data.cents, versions: [...versions, version] }),
  snapshot: { name: "account", version: 1, every: 1 },
};
const [directory = "", folds = "", restMs = ""] = process.argv.slice(2);
const store = await openStore<Bank>(directory);
for (let cents = 1; ; cents++) {
  if (cents === Number(folds)) setTimeout(() => process.kill(process.pid, "SIGKILL"), Number(restMs));
  await store.append("a", { type: "Deposited", data: { cents } });
  await store.aggregateStream("a", account);
}
