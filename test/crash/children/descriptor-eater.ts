/** Appends until no descriptor is left for another segment, and says what became of it. `descriptor-eater STORE` */

import { openSync } from "node:fs";
import { openStore, type StoreError } from "../../../src/index.js";

const store = await openStore(process.argv[2] as string, { segmentBytes: 1024 * 1024 });
const append = (): Promise<unknown> => store.append("s", { type: "Large", data: "x".repeat(100_000) });
let acknowledged = 0;

async function appendUntilRefused(): Promise<string> {
  try {
    for (;;) {
      await append();
      acknowledged++;
    }
  } catch (error) {
    return (error as StoreError).code;
  }
}

await append();
acknowledged++;
try {
  for (;;) openSync("/dev/null", "r");
} catch {
  // There are none left.
}
const first = await appendUntilRefused();
const second = await appendUntilRefused();
await store.close();
console.log(JSON.stringify({ acknowledged, first, second }));
