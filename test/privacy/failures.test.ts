/** What is refused of subjects, and what failures leave: never an event whose key is not durable, and never one that is read as something else. */

import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { verifyEvents } from "../../src/events/index.js";
import {
  openReader,
  openStore,
  rekeyStore,
  repairStore,
  type SalvagedEvent,
  type Store,
  type StoreError,
  salvageStore,
} from "../../src/index.js";
import { subjectCopyOffset, subjectRecordOffset } from "../../src/wal/subjects/subject-block.js";
import { change, keyOf } from "../encryption/support.js";
import { assert, rejects } from "../support/assert.js";
import { withFailing, withHeldFlushes } from "../support/failing-files.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("privacy/failures");
let base = "";
let directory = "";
let subjectKeys = "";
test.beforeEach(() => {
  base = temporaryDirectory();
  directory = join(base, "store");
  subjectKeys = join(base, "subjects");
});

function opened(key = 1, otherKeys: readonly number[] = []): Promise<Store> {
  return openStore(directory, { encryption: { key: keyOf(key), otherKeys: otherKeys.map(keyOf), subjectKeys } });
}

async function say(store: Store, text: string, subject?: string): Promise<number> {
  const event = { type: "Said", data: { text }, ...(subject !== undefined && { subject }) };
  return (await store.append("talk", event)).lsn;
}

async function textsOf(store: Pick<Store, "readStream">): Promise<string[]> {
  const texts: string[] = [];
  for await (const { data, forgotten } of store.readStream("talk")) {
    texts.push(forgotten ? "forgotten" : (data as { text: string }).text);
  }
  return texts;
}

test("an event with a subject is refused without the option, before anything of its append is written", async () => {
  const options = [{ encryption: { key: keyOf(1) } }, {}];
  for (const [index, option] of options.entries()) {
    const store = await openStore(join(base, `store-${index}`), option);
    const about = { type: "Said", data: {}, subject: "ann" };
    const plain = { type: "Said", data: {} };
    for (const append of [
      () => store.append("talk", about),
      () => store.append("talk", [plain, about]),
      () => store.tryAppend("talk", about),
      () =>
        store.appendMany([
          { stream: "a", events: plain },
          { stream: "talk", events: about },
        ]),
    ]) {
      const error = (await rejects(append, "ERR_KEY_MISSING")) as StoreError;
      assert.match(error.message, /subjectKeys/);
    }
    await rejects(store.forget("ann"), "ERR_KEY_MISSING");
    const graph = await store.graph();
    await rejects(graph.createNode({ label: "Person", subject: "ann" }), "ERR_KEY_MISSING");
    assert.is(await store.streamVersion("talk"), 0);
    assert.is(await store.streamVersion("a"), 0);
    await store.close();
  }
  await rejects(
    openStore(directory, { encryption: { key: keyOf(1), subjectKeys: join(directory, "subjects") } }),
    (e) => e instanceof TypeError,
  );
  for (const wrong of [7, "", null]) {
    const encryption = { key: keyOf(1), subjectKeys: wrong as never };
    await rejects(openStore(directory, { encryption }), (error) => error instanceof TypeError);
  }
});

test("subjects that are none are refused, and those at the edges are taken", async () => {
  const store = await opened();
  for (const [subject, code] of [
    ["", "ERR_EVENTS_INVALID_EVENT"],
    ["x".repeat(257), "ERR_EVENTS_INVALID_EVENT"],
    ["\ud800", "ERR_EVENTS_INVALID_EVENT"],
  ] as const) {
    await rejects(say(store, "no", subject), code);
    await rejects(store.forget(subject), code);
  }
  for (const subject of [7, null, {}]) {
    const event = { type: "Said", data: {}, subject: subject as never };
    await rejects(store.append("talk", event), (error) => error instanceof TypeError);
    await rejects(
      async () => store.forget(subject as never),
      (error) => error instanceof TypeError,
    );
  }
  await rejects(
    async () => store.forget("ann", { signWith: 1 } as never),
    (error) => error instanceof TypeError,
  );
  assert.is(store.watermark, 0);
  for (const subject of ["x", "x".repeat(256), "é".repeat(128), "__proto__"]) await say(store, subject, subject);
  assert.equal(await textsOf(store), ["x", "x".repeat(256), "é".repeat(128), "__proto__"]);
  await store.close();
});

test("appends of every kind take subjects, in the order of one caller where their keys are there", async () => {
  const store = await opened();
  await store.appendMany([
    { stream: "talk", events: [{ type: "Said", data: { text: "1" }, subject: "ann" }] },
    {
      stream: "other",
      events: [
        { type: "Said", data: undefined, subject: "bob" },
        { type: "Said", data: 7 },
      ],
    },
  ]);
  await Promise.all(["2", "3", "4"].map((text) => say(store, text, "ann")));
  await store.tryAppend("talk", { type: "Said", data: { text: "5" }, subject: "bob" });
  const { epoch = 0 } = (await store.append(
    "talk",
    { type: "Said", data: { text: "6" }, subject: "cid" },
    { durability: "async" },
  )) as { epoch?: number };
  await store.whenDurable(epoch);
  assert.equal(await textsOf(store), ["1", "2", "3", "4", "5", "6"]);
  for await (const { data, forgotten } of store.readStream("other", { to: 1 }))
    assert.equal([data, forgotten], [undefined, false]);
  const id = { type: "Said", data: { text: "7" }, subject: "ann", id: "seven" };
  const first = await store.append("talk", id, { expectedVersion: 6 });
  const again = await store.append("talk", id, { expectedVersion: 6 });
  assert.equal([again.lsn, again.duplicate], [first.lsn, true]);
  await store.close();
});

test("without space for a key, or when its flush fails, the append is refused and nothing of it is written", async () => {
  const store = await opened();
  await say(store, "1", "ann");
  const before = store.watermark;
  await rejects(
    withFailing(
      "writeSync",
      "ENOSPC",
      () => true,
      () => say(store, "2", "bob"),
    ),
    "ERR_WAL_FULL",
  );
  assert.is(store.watermark, before);
  await say(store, "3", "bob");
  await rejects(
    withFailing(
      "fdatasync",
      "EIO",
      () => true,
      () => say(store, "4", "cid"),
    ),
    "ERR_IO_FAILED",
  );
  await rejects(say(store, "5", "cid"), "ERR_IO_FAILED"); // until it is opened again
  await say(store, "6", "ann");
  assert.is(store.watermark, before + 2);
  await store.close();
  const again = await opened();
  await say(again, "7", "cid");
  assert.equal(await textsOf(again), ["1", "3", "6", "7"]);
  await again.close();
});

test("no event is placed before its key is durable, and no forgetting is logged before the key is gone for good", async () => {
  const store = await opened();
  await say(store, "1", "ann");
  const before = store.watermark;
  await withHeldFlushes(async (release) => {
    const appended = say(store, "2", "bob");
    await delay(100);
    assert.is(await say(store, "3"), before + 1, "others go on");
    assert.equal(await textsOf(store), ["1", "3"]);
    release();
    assert.is(await appended, before + 2);
  });
  await withHeldFlushes(async (release) => {
    const forgotten = store.forget("ann");
    await delay(100);
    assert.is(await store.streamVersion("$retention"), 1); // that there are keys
    assert.equal(await textsOf(store), ["forgotten", "3", "2"], "nobody reads it meanwhile");
    const later = say(store, "4", "ann");
    release();
    await forgotten;
    await later;
  });
  assert.is(await store.streamVersion("$retention"), 2);
  assert.equal(await textsOf(store), ["forgotten", "3", "2", "4"]);
  await store.close();
});

test("a forgetting whose first flush fails has not been; one whose second flush fails is ended by whoever opens the store next", async () => {
  for (const [doomed, texts] of [
    [1, ["1"]],
    [2, ["forgotten"]],
  ] as const) {
    const store = await opened();
    await say(store, "1", "ann");
    const before = store.watermark;
    await rejects(
      withFailing(
        "fdatasync",
        "EIO",
        (count) => count === doomed,
        () => store.forget("ann"),
      ),
      "ERR_IO_FAILED",
    );
    assert.is(store.watermark, before);
    assert.equal(await textsOf(store), texts);
    await store.close();
    const again = await opened();
    assert.is(again.watermark > before, doomed === 2); // it is logged
    assert.equal(await textsOf(again), texts);
    await again.forget("ann");
    assert.equal(await textsOf(again), ["forgotten"]);
    await again.close();
    for (const path of [directory, subjectKeys]) rmSync(path, { recursive: true });
  }
});

test("without its file a store that has subjects does not open for them; with another's, an older or a damaged one it says so", async () => {
  let store = await opened();
  await say(store, "1", "ann");
  await store.close();
  const whole = readFileSync(subjectKeys);
  const refused = async (code: "ERR_KEY_MISSING" | "ERR_WAL_FOREIGN" | "ERR_WAL_CORRUPT"): Promise<void> => {
    const encryption = { key: keyOf(1), subjectKeys };
    for (const opening of [() => openStore(directory, { encryption }), () => openReader(directory, { encryption })]) {
      const error = (await rejects(opening, code)) as StoreError;
      assert.ok(error.message.includes(subjectKeys), error.message);
    }
  };
  rmSync(subjectKeys);
  await refused("ERR_KEY_MISSING");
  assert.not.ok(existsSync(subjectKeys));
  const other = await openStore(`${directory}-other`, { encryption: { key: keyOf(1), subjectKeys } });
  await other.append("talk", { type: "Said", data: {}, subject: "ann" });
  await other.close();
  await refused("ERR_WAL_FOREIGN");
  writeFileSync(subjectKeys, whole);
  change(subjectKeys, (bytes) => bytes.writeUInt8(1, 100));
  await refused("ERR_WAL_CORRUPT");
  writeFileSync(subjectKeys, whole);
  store = await opened();
  await say(store, "2", "bob");
  assert.equal(await textsOf(store), ["1", "2"]);
  await store.close();
  writeFileSync(subjectKeys, whole); // from before bob
  store = await opened();
  const seen: string[] = [];
  for await (const event of store.readStream("talk")) {
    try {
      seen.push((event.data as { text: string }).text);
    } catch (error) {
      seen.push((error as StoreError).code);
    }
  }
  assert.equal(seen, ["1", "ERR_KEY_MISSING"]);
  await store.close();
});

test("a record of the key file that somebody changed is an error for its events, which are never read as forgotten", async () => {
  let store = await opened();
  await say(store, "1", "ann");
  await say(store, "2", "bob");
  await store.close();
  const { crc32 } = await import("node:zlib");
  change(subjectKeys, (bytes) => {
    for (const copy of [0, 1] as const) {
      const [at, record] = [subjectCopyOffset(0, copy), subjectRecordOffset(0, copy)];
      bytes.writeUInt8((bytes[record + 60] as number) ^ 1, record + 60);
      bytes.writeUInt32LE(crc32(bytes.subarray(record, record + 252)), record + 252);
      bytes.writeUInt32LE(crc32(bytes.subarray(at, at + 4092)), at + 4092);
    }
  });
  store = await opened();
  const [first, second] = (await store.readStreamPage("talk")).events;
  await rejects(async () => first?.data, "ERR_WAL_TAMPERED");
  await rejects(async () => first?.metadata, "ERR_WAL_TAMPERED");
  await rejects(async () => first?.payload, "ERR_WAL_TAMPERED");
  assert.is(first?.forgotten, false);
  assert.equal(second?.data, { text: "2" });
  await store.close();
});

test("without the keys of subjects the rest of a store is read, verified, backed up, salvaged and repaired", async () => {
  let store = await opened();
  await say(store, "1", "ann");
  await say(store, "2");
  await say(store, "3", "bob");
  await store.checkpoint();
  await store.forget("ann");
  await say(store, "4", "bob");
  await store.close();
  const keyOnly = { encryption: { key: keyOf(1) } };
  const count = async (encryption: { key: () => Buffer; subjectKeys?: string }): Promise<number[]> => {
    const reader = await openReader(directory, { encryption });
    const { events, forgottenEvents, unopenedEvents } = await verifyEvents(reader);
    await reader.close();
    return [events, forgottenEvents, unopenedEvents];
  };
  assert.equal(await count(keyOnly.encryption), [6, 0, 3]);
  assert.equal(await count({ key: keyOf(1), subjectKeys }), [6, 1, 0]);
  store = await openStore(directory, keyOnly);
  const [first, second] = (await store.readStreamPage("talk")).events;
  await rejects(async () => first?.data, "ERR_KEY_MISSING");
  assert.equal(second?.data, { text: "2" });
  await store.backup(`${directory}-backup`);
  await store.close();
  const salvaged = async (encryption: typeof keyOnly.encryption): Promise<string[]> => {
    const seen: string[] = [];
    const onEvent = ({ stream, data, forgotten, sealed }: SalvagedEvent): void => {
      if (stream !== "talk") return;
      seen.push(forgotten ? "forgotten" : sealed !== undefined ? "sealed" : (data as { text: string }).text);
    };
    const report = await salvageStore(directory, { encryption, onEvent });
    assert.equal([report.lostLsns, report.undecodable], [0, 0]);
    return seen;
  };
  assert.equal(await salvaged(keyOnly.encryption), ["sealed", "2", "sealed", "sealed"]);
  assert.equal(await salvaged({ key: keyOf(1), subjectKeys } as never), ["forgotten", "2", "3", "4"]);
  const manifests = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => join(directory, `manifest-${String(n).padStart(10, "0")}`));
  for (const manifest of manifests) rmSync(manifest, { force: true });
  const { status } = await repairStore(directory, { dryRun: false, backup: join(base, "copy"), ...keyOnly });
  assert.is(status, "repaired");
  const again = await opened();
  assert.equal(await textsOf(again), ["forgotten", "2", "3", "4"]);
  await again.close();
});

test("rotating changes nothing for subjects; a rekeying seals their keys by the new key, and is refused without their file", async () => {
  let store = await opened();
  await say(store, "1", "ann");
  await say(store, "2", "bob");
  const attestation = await store.forget("bob");
  await store.rotateKey(keyOf(2));
  await say(store, "3", "ann");
  await say(store, "4", "cid");
  await store.checkpoint();
  await store.close();
  store = await opened(2, [1]);
  assert.equal(await textsOf(store), ["1", "forgotten", "3", "4"]);
  await store.close();
  const otherKeys = [keyOf(1), keyOf(2)];
  await rejects(rekeyStore(directory, { encryption: { key: keyOf(3), otherKeys } }), "ERR_KEY_MISSING");
  store = await opened(2, [1]);
  assert.equal(await textsOf(store), ["1", "forgotten", "3", "4"]);
  await store.close();
  await rekeyStore(directory, { encryption: { key: keyOf(3), otherKeys, subjectKeys } });
  await rejects(opened(2, [1]), "ERR_KEY_WRONG");
  store = await opened(3);
  await say(store, "5", "ann");
  assert.equal(await textsOf(store), ["1", "forgotten", "3", "4", "5"]);
  assert.equal((await store.forget("bob")).keyIds, []); // the file does not know any more who that was
  const gone = await store.forget("ann");
  assert.is(gone.keyIds.length, 1);
  assert.not.equal(gone.keyIds, attestation.keyIds);
  assert.equal(await textsOf(store), ["forgotten", "forgotten", "forgotten", "4", "forgotten"]);
  await store.close();
});

test("closing while a key is made, or a subject is forgotten, ends it or refuses it, and the next opening agrees", async () => {
  let store = await opened();
  await say(store, "1", "ann");
  const outcomes = [say(store, "2", "bob"), store.forget("ann"), say(store, "3", "cid")].map((work) =>
    work.then(
      () => "done",
      (error: StoreError) => error.code,
    ),
  );
  await store.close();
  for (const outcome of await Promise.all(outcomes)) assert.ok(["done", "ERR_STORE_CLOSED"].includes(outcome), outcome);
  await rejects(store.forget("ann"), "ERR_STORE_CLOSED");
  await rejects(say(store, "4", "ann"), "ERR_STORE_CLOSED");
  store = await opened();
  const texts = await textsOf(store);
  assert.ok(["1", "forgotten"].includes(texts[0] ?? ""), `${texts}`);
  await store.forget("ann");
  assert.is((await textsOf(store))[0], "forgotten");
  await store.close();
});
