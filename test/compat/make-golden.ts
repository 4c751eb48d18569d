/**
 * Makes the golden store of the format that this code writes: `node build/test/compat/make-golden.js`, with `encrypted` behind it the one that
 * is encrypted. Run once for a format, and never again: the files are what older versions wrote, and every later version must read them.
 */

import { cpSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openStore } from "../../src/index.js";
import { FORMAT_VERSION } from "../../src/wal/format.js";
import { PROJECT_ROOT } from "../support/source-file.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { GOLDEN_APPENDS, GOLDEN_ENCRYPTION } from "./golden-events.js";

const SEGMENT_BYTES = 64 * 1024;
/** Longer than a store waits before it attests. */
const IDLE_MS = 300;

const isEncrypted = process.argv[2] === "encrypted";
const target = join(PROJECT_ROOT, "test", "compat", `format-${FORMAT_VERSION}${isEncrypted ? "-encrypted" : ""}`);
if (existsSync(target)) throw new Error(`${target} is there already; a golden store is never made again`);

const directory = join(temporaryDirectory(), "store");
const options = { segmentBytes: SEGMENT_BYTES, encryption: isEncrypted ? GOLDEN_ENCRYPTION : null };
for (const [index, appends] of GOLDEN_APPENDS.entries()) {
  const store = await openStore(directory, options);
  // The first part of one that is encrypted is sealed, and there is a state of a projection.
  if (isEncrypted && index === 1) {
    await store.graph();
    await store.checkpoint();
  }
  for (const append of appends) await store.appendMany(append);
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  await store.close();
}
// Not what is of use only while somebody writes.
const filter = (path: string): boolean => !/\/(control|owner|heads-\d+|(checkpoint\.)?lock)$/.test(path);
cpSync(directory, join(target, "store"), { recursive: true, filter });

const store = await openStore(directory, options);
const events = [];
for await (const { id, type, data, metadata, stream, version, lsn, recordedAt } of store.readAll())
  events.push({ id, type, data, metadata, stream, version, lsn, recordedAt });
await store.close();
writeFileSync(join(target, "events.json"), `${JSON.stringify(events, null, 2)}\n`);
console.log(`${events.length} events in ${target}`);
