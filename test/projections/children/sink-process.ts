/** Feeds SQLite from a store while it appends to it, until it is killed; says when it has appended for a while. */

import { openStore } from "../../../src/index.js";
import { openSqliteSink } from "./sqlite-sink.js";

const [directory = "", file = ""] = process.argv.slice(2);
const store = await openStore(directory);
await store.sink(openSqliteSink(file).sink, { batchEvents: 7 });
for (let count = 0; ; count += 1) {
  if (count === 30) process.stdout.write("at work\n");
  await store.append("numbers", [
    { type: "Added", data: { value: 1 } },
    { type: "Ignored", data: {} },
    { type: "Added", data: { value: 2 } },
  ]);
}
