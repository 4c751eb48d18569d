/** Feeds PostgreSQL from a store while it appends to it, until it is killed; says when it has appended for a while. */

import { openStore } from "../../../src/index.js";
import type { PostgresAddress } from "../../support/postgres-server.js";
import { openPostgresSink } from "./postgres-sink.js";

const [directory = "", address = ""] = process.argv.slice(2);
const { sink } = await openPostgresSink(JSON.parse(address) as PostgresAddress);
const store = await openStore(directory);
await store.sink(sink, { batchEvents: 7 });
for (let count = 0; ; count += 1) {
  if (count === 30) process.stdout.write("at work\n");
  await store.append("numbers", [
    { type: "Added", data: { value: 1 } },
    { type: "Ignored", data: {} },
    { type: "Added", data: { value: 2 } },
  ]);
}
