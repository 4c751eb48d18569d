/** lmdb's awaited `put` with its defaults, which resolves when the data is on the disk; increasing keys, binary values. */

import { open } from "lmdb";
import { payloadOf, run } from "./driver.mjs";

await run({
  name: "lmdb",
  open: async (directory) => {
    const database = open({ path: directory, encoding: "binary", keyEncoding: "uint32" });
    return {
      put: (sequence) => database.put(sequence, payloadOf(sequence)),
      close: () => database.close(),
      *readBack() {
        for (const { value } of database.getRange()) yield value;
      },
    };
  },
});
