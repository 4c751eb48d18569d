/** A store that is encrypted, end to end: what is on the disk, who can open it, and everything that a store does. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  type EncryptionOptions,
  openReader,
  openStore,
  type Projection,
  restoreStore,
  type Store,
  type StoreError,
} from "../../src/index.js";
import { isEncrypted, verifyWithoutKeys } from "../../src/wal/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("encryption/encryption");
const WRITER = fileURLToPath(new URL("./children/encrypting-writer.js", import.meta.url));
const SECRETS = ["hush-stream", "HushType", "hush-data", "hush-metadata", "hush-label", "hush-id"];
const key = (byte: number) => (): Buffer => Buffer.alloc(32, byte);
const encryption: EncryptionOptions = { key: key(1) };

let idCount = 0;
let directory = "";
test.beforeEach(() => {
  directory = join(temporaryDirectory(), "store");
});

async function fill(store: Store, count: number, stream = "hush-stream"): Promise<void> {
  const appends = Array.from({ length: count }, (_, index) =>
    store.append(`${stream}-${index % 10}`, {
      type: "HushType",
      data: { text: "hush-data", index },
      metadata: { note: "hush-metadata" },
      ...(index === 0 && { id: `hush-id-${++idCount}` }),
    }),
  );
  await Promise.all(appends);
}

async function count(store: Pick<Store, "readAll">): Promise<number> {
  let events = 0;
  for await (const { stream, data } of store.readAll()) {
    if (!stream.startsWith("$")) assert.is((data as { text: string }).text, "hush-data");
    events++;
  }
  return events;
}

function filesIn(...directories: string[]): string[] {
  return directories.flatMap((from) =>
    readdirSync(from, { recursive: true, encoding: "utf8" })
      .map((name) => join(from, name))
      .filter((path) => statSync(path).isFile()),
  );
}

/** Which secrets stand in clear in files below the directories. */
function exposed(...directories: string[]): string[] {
  return filesIn(...directories).flatMap((path) => {
    const bytes = readFileSync(path);
    return SECRETS.filter((secret) => bytes.includes(secret)).map((secret) => `${secret} in ${path}`);
  });
}

const texts: Projection<string[]> = {
  name: "texts",
  version: 1,
  handles: ["HushType"],
  init: () => [],
  apply: (state, event) => [...state, `${(event.data as { text: string }).text} of ${event.stream}`].slice(-3),
  encode: (state) => Buffer.from(JSON.stringify(state)),
  decode: async (chunks) => {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk);
    return JSON.parse(Buffer.concat(parts).toString()) as string[];
  },
};

test("nothing of events, streams or states stands in clear on the disk, while it is open or afterwards", async () => {
  const backup = `${directory}-backup`;
  const store = await openStore(directory, { encryption });
  await fill(store, 300);
  const graph = await store.graph();
  await graph.createNode({ label: "hush-label", validFrom: 0 });
  const running = await store.project(texts);
  await running.whenCaughtUp();
  await store.checkpoint();
  await fill(store, 100);
  await store.backup(backup);
  await store.deleteStream("hush-stream-3");
  await store.scavenge();
  await fill(store, 10, "hush-stream-new");
  assert.equal(exposed(directory, backup), []);
  await store.close();
  assert.equal(exposed(directory, backup), []);
  // The search finds what is there: the same, not encrypted.
  const plain = await openStore(`${directory}-plain`);
  await fill(plain, 3);
  await plain.checkpoint();
  await plain.close();
  assert.ok(exposed(`${directory}-plain`).length > 3);
});

test("it is reopened, sealed or not, and states of projections are used", async () => {
  let store = await openStore(directory, { encryption });
  await fill(store, 200);
  const running = await store.project(texts);
  await running.whenCaughtUp();
  await store.checkpoint();
  await fill(store, 50);
  await store.close();
  store = await openStore(directory, { encryption });
  assert.is(await count(store), 250);
  assert.is(await store.streamVersion("hush-stream-1"), 25);
  const again = await store.project(texts);
  assert.equal([again.recovery.from, again.recovery.refused], ["checkpoint", []]);
  assert.is(again.state[0]?.startsWith("hush-data of hush-stream"), true);
  await store.close();
});

test("a missing key, a wrong one and one of a store that is not encrypted are told apart, and nothing changes", async () => {
  const store = await openStore(directory, { encryption });
  await fill(store, 5);
  await store.close();
  const before = filesIn(directory).map((path) => `${path} ${readFileSync(path).toString("base64")}`);
  for (const open of [openStore, openReader]) {
    await rejects(open(directory), "ERR_KEY_MISSING");
    await rejects(open(directory, { encryption: { key: { file: `${directory}/none` } } }), "ERR_KEY_MISSING");
    const wrong = await rejects(open(directory, { encryption: { key: key(2) } }), "ERR_KEY_WRONG");
    assert.not.match(wrong.message, "02020202");
    await rejects(open(directory, { encryption: { key: () => Buffer.alloc(5) } }), "ERR_KEY_WRONG");
    await rejects(open(directory, { encryption: { key: 7 } as never }), (error) => error instanceof TypeError);
  }
  const after = filesIn(directory).map((path) => `${path} ${readFileSync(path).toString("base64")}`);
  assert.equal(after, before);
  const plain = await openStore(`${directory}-plain`);
  await plain.close();
  await rejects(openStore(`${directory}-plain`, { encryption }), "ERR_KEY_WRONG");
  await rejects(openReader(`${directory}-plain`, { encryption }), "ERR_KEY_WRONG");
});

test("several writers and a reader with the key work together; one without it is refused", async () => {
  const first = await openStore(directory, { encryption });
  const second = await openStore(directory, { encryption });
  const reader = await openReader(directory, { encryption });
  await rejects(openStore(directory), "ERR_KEY_MISSING");
  await first.append("hush-stream", { type: "HushType", data: { text: "hush-data" } }, { expectedVersion: "absent" });
  await second.append("hush-stream", { type: "HushType", data: { text: "hush-data" } }, { expectedVersion: 1 });
  await rejects(
    first.append("hush-stream", { type: "HushType", data: { text: "hush-data" } }, { expectedVersion: 1 }),
    "ERR_EVENTS_VERSION_CONFLICT",
  );
  await reader.refresh();
  assert.equal([await count(first), await count(second), await count(reader)], [2, 2, 2]);
  assert.equal(exposed(directory), []);
  await second.checkpoint();
  await fill(first, 20);
  await reader.refresh();
  assert.equal([await count(first), await count(second), await count(reader)], [22, 22, 22]);
  await reader.close();
  await second.close();
  await first.close();
});

test("a backup needs the key to be restored, whole or up to an LSN", async () => {
  const backup = `${directory}-backup`;
  const store = await openStore(directory, { encryption });
  for (let index = 0; index < 20; index++) await fill(store, 1);
  const { lsn } = await store.backup(backup);
  await store.close();
  await rejects(restoreStore(backup, `${directory}-none`), "ERR_KEY_MISSING");
  await rejects(restoreStore(backup, `${directory}-none`, { encryption: { key: key(2) } }), "ERR_KEY_WRONG");
  await restoreStore(backup, `${directory}-all`, { encryption });
  await restoreStore(backup, `${directory}-part`, { encryption: { key: key(3), otherKeys: [key(1)] }, toLsn: 7 });
  const all = await openStore(`${directory}-all`, { encryption });
  assert.is(await count(all), lsn);
  await all.close();
  const part = await openStore(`${directory}-part`, { encryption: { key: key(1), otherKeys: [key(3)] } });
  assert.is(await count(part), 7);
  await part.close();
  assert.equal(exposed(backup, `${directory}-all`, `${directory}-part`), []);
});

test("without the key it can be seen that everything is there, and that something is damaged", async () => {
  const store = await openStore(directory, { encryption });
  await fill(store, 500);
  await store.checkpoint();
  await fill(store, 30);
  assert.is((await verifyWithoutKeys(directory)).sealedLsn, 500); // beside a writer
  await store.close();
  assert.is(await isEncrypted(directory), true);
  const { lastLsn, sealedSegments, keyIds } = await verifyWithoutKeys(directory);
  assert.equal([lastLsn, sealedSegments, keyIds], [530, 1, [1]]);
  const [sealed] = readdirSync(join(directory, "log"));
  const path = join(directory, "log", sealed ?? "");
  const { length } = readFileSync(path);
  for (const at of [5000, length - 3 * 4096, length - 4096 - 10]) {
    const damaged = `${directory}-damaged-${at}`;
    cpSync(directory, damaged, { recursive: true });
    const bytes = readFileSync(path);
    bytes[at] = (bytes[at] as number) ^ 1;
    writeFileSync(join(damaged, "log", sealed ?? ""), bytes);
    if (at === length - 4096 - 10) continue; // padding behind the root, which nobody reads
    await rejects(verifyWithoutKeys(damaged), "ERR_WAL_CORRUPT");
  }
  await rejects(verifyWithoutKeys(`${directory}-nowhere`), "ERR_WAL_CORRUPT");
});

test("a key that is new to the store, beside the one it has, is the one that is written with", async () => {
  let store = await openStore(directory, { encryption });
  await fill(store, 5);
  await store.close();
  store = await openStore(directory, { encryption: { key: key(2), otherKeys: [key(1)] } });
  await fill(store, 5);
  await store.checkpoint();
  await fill(store, 5);
  await store.close();
  const missing = (await rejects(openStore(directory, { encryption }), "ERR_KEY_MISSING")) as StoreError;
  assert.is(missing.details["keyId"], 2);
  await rejects(openStore(directory, { encryption: { key: key(2) } }), "ERR_KEY_MISSING");
  store = await openStore(directory, { encryption: { key: key(1), otherKeys: [key(2)] } });
  assert.is(await count(store), 15);
  await store.close();
});

test("the tail of a crash is cut and reported as it is in any store", async () => {
  const store = await openStore(directory, { encryption });
  await fill(store, 1);
  await fill(store, 1);
  const copy = `${directory}-crashed`;
  cpSync(directory, copy, { recursive: true, filter: (path) => !path.endsWith("/control") });
  await store.close();
  const segment = join(copy, "wal", "core-000", "0000000001.wal");
  const bytes = readFileSync(segment);
  bytes[2 * 4096 + 200] = (bytes[2 * 4096 + 200] as number) ^ 1; // of the second frame, without mending its CRC
  writeFileSync(segment, bytes);
  const reopened = await openStore(copy, { encryption });
  assert.equal([await count(reopened), reopened.recovery.tornAt?.offset], [1, 2 * 4096]);
  await reopened.close();
});

test("a killed writer is taken over by one that has the key, and its streams go on at their versions", async () => {
  const store = await openStore(directory, { encryption: { key: key(1), otherKeys: [key(2)] } });
  const child = spawn(process.execPath, [WRITER, directory], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  await delay(400);
  child.kill("SIGKILL");
  await once(child, "exit");
  // What it had in flight is settled when somebody waits for it.
  await store.append("own", { type: "HushType", data: { text: "hush-data" } });
  const versions = new Map<string, number>();
  for await (const { stream, version } of store.readAll()) versions.set(stream, version);
  assert.ok(versions.size > 1);
  for (const [stream, version] of versions) {
    assert.is(await store.streamVersion(stream), version);
    const done = await store.append(stream, { type: "T", data: null }, { expectedVersion: version });
    assert.is(done.version, version + 1);
  }
  await store.close();
});
