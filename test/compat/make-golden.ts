/**
 * Makes the golden store of the format that this code writes: `node build/test/compat/make-golden.js`. Run once for a format, and never
 * again: the files are what older versions wrote, and every later version must read them.
 */

import { cpSync, existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openStore } from "../../src/index.js";
import { FORMAT_VERSION } from "../../src/wal/format.js";
import { PROJECT_ROOT } from "../support/source-file.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { GOLDEN_APPENDS } from "./golden-events.js";

const SEGMENT_BYTES = 64 * 1024;
/** Longer than a store waits before it attests. */
const IDLE_MS = 300;

const target = join(PROJECT_ROOT, "test", "compat", `format-${FORMAT_VERSION}`);
if (existsSync(target)) throw new Error(`${target} is there already; a golden store is never made again`);

const directory = join(temporaryDirectory(), "store");
const options = { segmentBytes: SEGMENT_BYTES };
for (const appends of GOLDEN_APPENDS) {
  const store = await openStore(directory, options);
  for (const append of appends) await store.appendMany(append);
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  await store.close();
}
cpSync(directory, join(target, "store"), { recursive: true });
rmSync(join(target, "store", "lock"));

const store = await openStore(directory, options);
const events = [];
for await (const { id, type, data, metadata, stream, version, lsn, recordedAt } of store.readAll())
  events.push({ id, type, data, metadata, stream, version, lsn, recordedAt });
await store.close();
writeFileSync(join(target, "events.json"), `${JSON.stringify(events, null, 2)}\n`);
console.log(`${events.length} events in ${target}`);
