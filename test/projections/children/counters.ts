/** Projections of documents, as a module that others load. */

import { fileURLToPath } from "node:url";
import { multiStream, type Projection, type RecordedEvent, singleStream } from "../../../src/index.js";

export type Counted = { Counted: { by: number; owners: string[] } };

type Counters = Projection<ReadonlyMap<string, { sum: number }>, RecordedEvent<Counted>>;

const definition = {
  version: 1,
  initial: () => ({ sum: 0 }),
  on: { Counted: ({ sum }: { sum: number }, { data }: RecordedEvent<Counted>) => ({ sum: sum + data.by }) },
};

export const counters: Counters = singleStream<Counted, { sum: number }>({
  ...definition,
  name: "counters",
  streams: "counter-",
});
export const owners: Counters = multiStream<Counted, { sum: number }>({
  ...definition,
  name: "owners",
  key: ({ data }) => data.owners,
});

export const MODULE_PATH: string = fileURLToPath(import.meta.url);
