/** Appends to the stream "a" of the store argv[2] and folds it after each append, keeping a snapshot each time, until it is killed. */

import { type Aggregate, openStore, type RecordedEvent } from "../../../src/index.js";

type Bank = { Deposited: { cents: number } };

const account: Aggregate<{ cents: number; versions: number[] }, RecordedEvent<Bank>> = {
  initial: () => ({ cents: 0, versions: [] }),
  evolve: ({ cents, versions }, { data, version }) => ({ cents: cents + data.cents, versions: [...versions, version] }),
  snapshot: { name: "account", version: 1, every: 1 },
};
const store = await openStore<Bank>(process.argv[2] as string);
for (let cents = 1; ; cents++) {
  await store.append("a", { type: "Deposited", data: { cents } });
  await store.aggregateStream("a", account);
}
