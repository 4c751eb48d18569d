/** Going over to another key: for what is written from now on, for everything, and from no key at all. */

import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openReader, openStore, type Projection, rekeyStore, type Store, type StoreError } from "../../src/index.js";
import { readManifest } from "../../src/wal/manifest.js";
import { assert, rejects } from "../support/assert.js";
import { spoilFiles } from "../support/failing-files.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { appendEach, change, contentOf, eventsOf, filesIn, keyOf } from "./support.js";

const test = suite("encryption/rekey");
const one = { key: keyOf(1) };
const two = { key: keyOf(2) };
const oneThenTwo = { key: keyOf(2), otherKeys: [keyOf(1)] };

let directory = "";
test.beforeEach(() => {
  directory = join(temporaryDirectory(), "store");
});

const counter: Projection<number> = {
  name: "counter",
  version: 1,
  handles: ["Hush"],
  init: () => 0,
  apply: (state) => state + 1,
  encode: (state) => Buffer.from(`hush ${state}`),
  decode: async (chunks) => {
    let text = "";
    for await (const chunk of chunks) text += Buffer.from(chunk).toString();
    return Number(text.split(" ")[1]);
  },
};

async function keyIdsOf(from: string): Promise<readonly number[]> {
  const found = await readManifest(from);
  if (found.kind !== "manifest") throw new Error(`the manifest is ${found.kind}`);
  return found.manifest.encryption?.keys.map(({ id }) => id) ?? [];
}

/** 30 sealed events in segments of their own, 10 that are not, and a state. */
async function fill(store: Store): Promise<void> {
  for (let round = 0; round < 3; round++) {
    await appendEach(store, 10, `hush-${round}`);
    await store.checkpoint();
  }
  await (await store.project(counter)).whenCaughtUp();
  await store.checkpoint();
  await appendEach(store, 10, "hush-tail");
}

async function opened(encryption: typeof one | null, from = directory): Promise<Store> {
  return openStore(from, { encryption });
}

test("rotating writes by the new key at once, and both are needed from then on", async () => {
  let store = await opened(one);
  await appendEach(store, 5);
  assert.is(await store.rotateKey(keyOf(2)), 2);
  await appendEach(store, 5);
  assert.is(await store.rotateKey(keyOf(2)), 2); // it is
  assert.is(await store.rotateKey(keyOf(1)), 1); // and back
  await appendEach(store, 5);
  assert.is(await eventsOf(store), 15);
  await store.checkpoint();
  assert.is(await eventsOf(store), 15);
  await store.close();
  assert.equal(await keyIdsOf(directory), [1, 2]);
  const missing = (await rejects(opened(one), "ERR_KEY_MISSING")) as StoreError;
  assert.is(missing.details["keyId"], 2);
  store = await openStore(directory, { encryption: oneThenTwo });
  assert.is(await eventsOf(store), 15);
  await store.close();
});

test("rotating to what is no key keeps the former one", async () => {
  const store = await opened(one);
  await rejects(store.rotateKey({ file: join(directory, "none") }), "ERR_KEY_MISSING");
  await rejects(
    store.rotateKey(() => Buffer.alloc(3)),
    "ERR_KEY_WRONG",
  );
  await rejects(
    async () => store.rotateKey("key" as never),
    (error) => error instanceof TypeError,
  );
  await appendEach(store, 3);
  assert.equal(await keyIdsOf(directory), [1]);
  await store.close();
  await rejects(store.rotateKey(keyOf(2)), "ERR_STORE_CLOSED");
  const plain = await opened(null, `${directory}-plain`);
  await rejects(plain.rotateKey(keyOf(2)), "ERR_KEY_WRONG");
  await plain.close();
});

test("what the file system refuses has a code, and the former key goes on", async () => {
  const store = await opened(one);
  renameSync(directory, `${directory}-away`);
  await rejects(store.rotateKey(keyOf(2)), "ERR_IO_FAILED");
  renameSync(`${directory}-away`, directory);
  await appendEach(store, 3);
  assert.is(await eventsOf(store), 3);
  await store.close();
  assert.equal(await keyIdsOf(directory), [1]);
  writeFileSync(join(directory, "projections"), "no directory");
  await rejects(rekeyStore(directory, { encryption: oneThenTwo }), "ERR_IO_FAILED");
  rmSync(join(directory, "projections"));
  assert.is((await rekeyStore(directory, { encryption: oneThenTwo })).droppedKeys, 1);
});

test("a backup goes on when another writer went over to a key meanwhile, and says so where it was not given", async () => {
  const first = await openStore(directory, { encryption: { key: keyOf(1), otherKeys: [keyOf(2)] } });
  const target = `${directory}-backup`;
  await appendEach(first, 3);
  await first.backup(target);
  const second = await openStore(directory, { encryption: one });
  await second.rotateKey(keyOf(2));
  await appendEach(second, 3, "second");
  await second.checkpoint();
  assert.is((await first.backup(target)).lsn, 6);
  await second.rotateKey(keyOf(3));
  await appendEach(second, 3, "third");
  await second.checkpoint();
  await rejects(first.backup(target), "ERR_KEY_MISSING");
  await second.close();
  await first.close();
  const reader = await openReader(target, { encryption: oneThenTwo });
  assert.is(await eventsOf(reader), 6);
  await reader.close();
});

test("rotating while appends are in flight, and several times at once", async () => {
  const store = await opened(one);
  const appends: Promise<unknown>[] = [];
  const rotations: Promise<number>[] = [];
  for (let index = 0; index < 200; index++) {
    appends.push(store.append(`s-${index % 7}`, { type: "Hush", data: { index } }));
    if (index % 50 === 10) rotations.push(store.rotateKey(keyOf(2 + index / 50)));
    if (index % 20 === 0) await appends.at(-1);
  }
  await Promise.all(appends);
  assert.equal(await Promise.all(rotations), [2, 3, 4, 5]);
  assert.is(await eventsOf(store), 200);
  await store.close();
});

test("a key that comes when the store is closed goes nowhere", async () => {
  const store = await opened(one);
  await appendEach(store, 2);
  const given = Buffer.alloc(32, 7);
  let give: () => void = () => {};
  const rotating = store.rotateKey(
    () =>
      new Promise((resolve) => {
        give = () => resolve(given);
      }),
  );
  await new Promise((resolve) => setImmediate(resolve));
  await store.close();
  give();
  await rejects(rotating, "ERR_STORE_CLOSED");
  assert.ok(given.every((byte) => byte === 0));
  // Closing while the manifest is written: either it was refused, or it is named and was told.
  const again = await opened(one);
  const outcome = again.rotateKey(keyOf(2)).then(
    () => [1, 2],
    () => [1],
  );
  await again.close();
  assert.equal(await keyIdsOf(directory), await outcome);
});

test("other writers and readers follow when they were given the key before; without it they say which one is missing", async () => {
  const first = await opened(one);
  const ready = { key: keyOf(1), otherKeys: [keyOf(2)] };
  const second = await openStore(directory, { encryption: ready });
  const reader = await openReader(directory, { encryption: ready });
  const unready = await openReader(directory, { encryption: one });
  await appendEach(first, 3);
  await first.rotateKey(keyOf(2));
  await appendEach(first, 3);
  await appendEach(second, 3);
  await reader.refresh();
  assert.equal([await eventsOf(first), await eventsOf(second), await eventsOf(reader)], [9, 9, 9]);
  assert.is(await second.streamVersion("accounts"), 9);
  await second.checkpoint();
  await appendEach(second, 1);
  await reader.refresh();
  assert.equal([await eventsOf(first), await eventsOf(second), await eventsOf(reader)], [10, 10, 10]);
  await rejects(async () => {
    await unready.refresh();
    await eventsOf(unready);
  }, "ERR_KEY_MISSING");
  await unready.close();
  await reader.close();
  await second.close();
  await first.close();
});

test("rekeying leaves nothing that the former key is needed for, and every event, version and state", async () => {
  let store = await opened(one);
  await fill(store);
  await store.rotateKey(keyOf(3));
  await appendEach(store, 2, "hush-third");
  await store.close();
  const report = await rekeyStore(directory, { encryption: { key: keyOf(2), otherKeys: [keyOf(1), keyOf(3)] } });
  assert.equal([report.keyId, report.droppedKeys, report.reencryptedCheckpoints], [3, 2, 1]);
  assert.ok(report.rewrittenSegments >= 1);
  assert.equal(await keyIdsOf(directory), [3]);
  await rejects(opened(one), "ERR_KEY_WRONG");
  store = await opened(two);
  assert.is(await eventsOf(store), 42);
  assert.equal([await store.streamVersion("hush-1"), await store.streamVersion("hush-tail")], [10, 10]);
  assert.is((await store.project(counter)).recovery.from, "checkpoint");
  await store.append("hush-1", { type: "Hush", data: {} }, { expectedVersion: 10 });
  await store.close();
  // Again: there is nothing left to do.
  const again = await rekeyStore(directory, { encryption: two });
  assert.equal([again.droppedKeys, again.rewrittenSegments], [0, 0]);
});

test("a store that is not encrypted becomes so: nothing of it stands in clear any more", async () => {
  const store = await opened(null);
  await fill(store);
  await store.deleteStream("hush-0");
  await store.scavenge();
  await store.truncateBefore(15, { archive: "none" });
  await store.close();
  const report = await rekeyStore(directory, { encryption: one });
  assert.equal([report.keyId, report.droppedKeys], [1, 0]);
  for (const path of filesIn(directory)) assert.not.ok(readFileSync(path).includes("hush"), `${path} has it in clear`);
  await rejects(opened(null), "ERR_KEY_MISSING");
  const encrypted = await opened(one);
  assert.equal(
    [
      await encrypted.streamVersion("hush-0"),
      await encrypted.streamVersion("hush-1"),
      await encrypted.streamVersion("hush-tail"),
    ],
    [10, 10, 10],
  );
  assert.is((await encrypted.project(counter)).recovery.from, "checkpoint");
  await encrypted.append("hush-0", { type: "Hush", data: {} }, { expectedVersion: 10 });
  await encrypted.close();
  const reader = await openReader(directory, { encryption: one });
  assert.ok((await reader.verifySealed()).segments >= 2);
  await reader.close();
});

test("interrupted by a state that cannot be written, everything is there with both keys, and it is gone on with", async () => {
  let store = await opened(one);
  await fill(store);
  await store.close();
  const file = join(directory, "projections", "counter", "v1.checkpoint");
  const kept = readFileSync(file);
  cpSync(directory, `${directory}-whole`, { recursive: true });
  const mend = await spoilFiles(`${file}.`, "sync", "EIO");
  await rejects(rekeyStore(directory, { encryption: oneThenTwo }), (error) => error instanceof Error);
  mend();
  assert.ok(readFileSync(file).equals(kept));
  assert.equal(await keyIdsOf(directory), [1, 2]);
  await rejects(opened(two), "ERR_KEY_MISSING");
  store = await openStore(directory, { encryption: oneThenTwo });
  assert.is(await eventsOf(store), 40);
  await store.close();
  assert.is((await rekeyStore(directory, { encryption: oneThenTwo })).droppedKeys, 1);
  store = await opened(two);
  assert.is(await eventsOf(store), 40);
  await store.close();
});

test("interrupted on the way from no key, it is read with the key, written to, and gone on with", async () => {
  let store = await opened(null);
  await fill(store);
  await store.close();
  const file = join(directory, "projections", "counter", "v1.checkpoint");
  const mend = await spoilFiles(`${file}.`, "sync", "EIO");
  await rejects(rekeyStore(directory, { encryption: one }), (error) => error instanceof Error);
  mend();
  await rejects(opened(null), "ERR_KEY_MISSING");
  store = await opened(one);
  assert.is(await eventsOf(store), 40);
  assert.is((await store.project(counter)).recovery.refused[0]?.reason, "tampered"); // it is not encrypted yet
  await appendEach(store, 5, "hush-more");
  await store.close();
  await rekeyStore(directory, { encryption: one });
  for (const path of filesIn(directory)) assert.not.ok(readFileSync(path).includes("hush"), `${path} has it in clear`);
  store = await opened(one);
  assert.is(await eventsOf(store), 45);
  await store.close();
});

test("a state that is damaged is removed, and the rekeying goes on", async () => {
  let store = await opened(one);
  await fill(store);
  await store.close();
  const file = join(directory, "projections", "counter", "v1.checkpoint");
  change(file, (bytes) => {
    bytes[bytes.length - 20] = (bytes[bytes.length - 20] as number) ^ 1;
  });
  const report = await rekeyStore(directory, { encryption: oneThenTwo });
  assert.equal([report.reencryptedCheckpoints, report.removedCheckpoints], [0, 1]);
  assert.equal(existsSync(file), false);
  store = await opened(two);
  assert.is((await store.project(counter)).recovery.from, "zero");
  await store.close();
});

test("it is refused beside others, without the former key, and where there is no store", async () => {
  const store = await opened(one);
  await appendEach(store, 3);
  await rejects(rekeyStore(directory, { encryption: oneThenTwo }), "ERR_STORE_LOCKED");
  await store.close();
  const before = contentOf(directory);
  await rejects(rekeyStore(directory, { encryption: two }), "ERR_KEY_WRONG");
  await rejects(rekeyStore(join(directory, "none"), { encryption: two }), "ERR_STORE_NOT_FOUND");
  await rejects(rekeyStore(directory, {} as never), (error) => error instanceof TypeError);
  await rejects(rekeyStore(directory, { encryption: two, key: 1 } as never), (error) => error instanceof TypeError);
  const after = contentOf(directory);
  for (const [path, bytes] of before) assert.ok(/lock|owner/.test(path) || after.get(path) === bytes, path);
  assert.is(readdirSync(join(directory, "wal", "core-000")).length, 2);
});
