/** The encrypted store that an earlier version wrote: read by today's code, frame by frame, sealed and not, and written to. */

import { cpSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openReader, openStore } from "../../src/index.js";
import { verifyWithoutKeys } from "../../src/wal/index.js";
import { decodeManifest, encodeManifest } from "../../src/wal/manifest.js";
import { assert, rejects, sameBytes } from "../support/assert.js";
import { PROJECT_ROOT } from "../support/source-file.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { GOLDEN_ENCRYPTION } from "./golden-events.js";

const GOLDEN = join(PROJECT_ROOT, "test", "compat", "format-1-encrypted");
const EVENT_FIELDS = ["id", "type", "data", "metadata", "stream", "version", "lsn", "recordedAt"] as const;

const test = suite("compat/golden-encrypted");

const expected = JSON.parse(readFileSync(join(GOLDEN, "events.json"), "utf8")) as Record<string, unknown>[];

function copyOfStore(): string {
  const directory = join(temporaryDirectory(), "store");
  cpSync(join(GOLDEN, "store"), directory, { recursive: true });
  return directory;
}

async function eventsOf(store: { readAll(): AsyncIterable<object> }): Promise<Record<string, unknown>[]> {
  const events: Record<string, unknown>[] = [];
  for await (const event of store.readAll()) {
    const fields = EVENT_FIELDS.map((field) => [field, (event as Record<string, unknown>)[field]]);
    events.push(JSON.parse(JSON.stringify(Object.fromEntries(fields))) as Record<string, unknown>);
  }
  return events;
}

test("it has frames and sealed segments, and what is in them stands nowhere in clear", () => {
  const names = readdirSync(join(GOLDEN, "store"), { recursive: true, encoding: "utf8" });
  for (const kind of [/\.wal$/, /\.seal$/, /\.checkpoint$/, /manifest-\d+$/])
    assert.ok(names.some((name) => kind.test(name)));
  for (const name of names.filter((found) => /\.\w+$/.test(found))) {
    const bytes = readFileSync(join(GOLDEN, "store", name));
    for (const text of ["account-42", "Opened", "Zoë", "a long text", "transfer-1", "Person"]) {
      assert.not.ok(bytes.includes(text), `${text} in ${name}`);
    }
  }
});

test("a reader of today reads exactly its events with the key, and refuses to without", async () => {
  const directory = copyOfStore();
  const reader = await openReader(directory, { encryption: GOLDEN_ENCRYPTION });
  assert.equal(await eventsOf(reader), expected);
  assert.ok((await reader.verifySealed()).records > 0);
  await reader.close();
  await rejects(openReader(directory), "ERR_KEY_MISSING");
  assert.is((await verifyWithoutKeys(directory)).lastLsn, expected.length);
});

test("a writer of today opens it without a doubt, uses the state of the graph, and goes on", async () => {
  const directory = copyOfStore();
  const store = await openStore(directory, { encryption: GOLDEN_ENCRYPTION });
  assert.is(store.recovery.row, "@I");
  assert.equal(await eventsOf(store), expected);
  assert.is((await store.graph()).asOf().node(1)?.properties["name"], "Ada");
  const { lsn } = await store.append("account-42", { type: "Closed", data: {} }, { expectedVersion: 2 });
  assert.is(lsn, expected.length + 1);
  await store.close();
});

test("its manifest is of version 3, and is written today as it was then", () => {
  const store = join(GOLDEN, "store");
  const name = readdirSync(store)
    .filter((found) => found.startsWith("manifest-"))
    .sort()
    .at(-1);
  const bytes = readFileSync(join(store, name ?? ""));
  assert.match(bytes.toString(), /^varve-manifest 3 /);
  const decoded = decodeManifest(bytes);
  if (decoded.kind !== "manifest") throw new Error(`the manifest is ${decoded.kind}`);
  assert.equal(decoded.manifest.encryption?.keys.length, 1);
  sameBytes(encodeManifest(decoded.manifest), bytes);
});
