import { generateKeyPairSync } from "node:crypto";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { StoreError } from "../../src/errors.js";
import {
  type Anchor,
  openReader,
  openStore,
  rekeyStore,
  repairStore,
  restoreStore,
  type SealedVerification,
  type Store,
  type VerifySealedOptions,
} from "../../src/index.js";
import { keyOf } from "../encryption/support.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("projections/store-anchor");

/** Appends of one event each, so that each has a frame. */
async function fill(store: Store, count: number, what = "T"): Promise<void> {
  for (let index = 0; index < count; index++) await store.append(`s${index % 3}`, { type: what, data: { index } });
}

async function verify(
  directory: string,
  options: VerifySealedOptions,
  keyByte: number | null = null,
): Promise<SealedVerification> {
  const encryption = keyByte === null ? null : { key: keyOf(keyByte) };
  await using reader = await openReader(directory, { encryption });
  return await reader.verifySealed(options);
}

/** A copy of the directory of a store that nobody has open. */
function copyOf(directory: string): string {
  const copy = join(temporaryDirectory(), "copy");
  cpSync(directory, copy, { recursive: true, preserveTimestamps: true });
  return copy;
}

/** A store with three anchors. */
async function anchored(directory: string): Promise<Anchor[]> {
  await using store = await openStore(directory);
  const anchors: Anchor[] = [];
  for (let round = 0; round < 3; round++) {
    await fill(store, 10);
    anchors.push(await store.anchor());
  }
  return anchors;
}

test("an anchor is what the store is, in plain data, and the store keeps its history through all that rewrites it", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory);
  const anchors: Anchor[] = [];
  for (let round = 0; round < 4; round++) {
    await fill(store, 10);
    const anchor = await store.anchor();
    anchors.push(JSON.parse(JSON.stringify(anchor)));
    assert.equal([anchor.version, anchor.storeId, anchor.lsn], [1, store.storeId, store.watermark]);
    assert.ok(Math.abs(anchor.at / 1000 - Date.now()) < 60_000);
  }
  const check = async (place = directory, key: number | null = null): Promise<void> => {
    for (const anchor of anchors) assert.is((await verify(place, { anchor }, key)).anchor?.lsn, anchor.lsn);
  };
  await check();
  await fill(store, 5); // and what is not sealed
  await check();
  assert.is((await store.compact())?.segments, 1);
  await check();
  await store.truncateStream("s1", { before: 8 });
  await store.deleteStream("s2");
  assert.ok((await store.scavenge()).removedRecords > 0);
  await check();
  const backup = join(temporaryDirectory(), "backup");
  await store.backup(backup);
  await check(backup);
  await store.close();
  const restored = join(temporaryDirectory(), "restored");
  await restoreStore(backup, restored, {});
  await check(restored);
  await rekeyStore(directory, { encryption: { key: keyOf(1) } });
  await check(directory, 1);
  await rekeyStore(directory, { encryption: { key: keyOf(2), otherKeys: [keyOf(1)] } });
  await check(directory, 2);
});

test("a store that was restored to an earlier LSN has the anchors up to there, is rolled back, and forked when it goes on", async () => {
  const directory = join(temporaryDirectory(), "store");
  const [first, second, third] = (await anchored(directory)) as [Anchor, Anchor, Anchor];
  const store = await openStore(directory);
  const backup = join(temporaryDirectory(), "backup");
  await store.backup(backup);
  await store.close();
  const restored = join(temporaryDirectory(), "restored");
  await restoreStore(backup, restored, { toLsn: 15 });

  const expectCode = async (anchor: Anchor, code: string, reason?: string): Promise<void> => {
    const error = (await rejects(verify(restored, { anchor }), code)) as StoreError;
    if (reason !== undefined) assert.is(error.details["reason"], reason);
    assert.is(error.details["lsn"], anchor.lsn);
  };
  await verify(restored, { anchor: first });
  await expectCode(second, "ERR_ANCHOR_ROLLED_BACK", "ends-before");
  const fork = await openStore(restored);
  await fill(fork, 10, "Other");
  // The log goes on over the anchor's LSN, and nothing there is sealed.
  await expectCode(second, "ERR_ANCHOR_ROLLED_BACK", "sealed-less");
  await expectCode(third, "ERR_ANCHOR_ROLLED_BACK", "ends-before");
  await fork.checkpoint();
  await verify(restored, { anchor: first });
  await expectCode(second, "ERR_ANCHOR_FORKED");
  await fill(fork, 30);
  const forked = await fork.anchor();
  await expectCode(third, "ERR_ANCHOR_FORKED");
  await fork.close();
  await rejects(verify(directory, { anchor: forked }), "ERR_ANCHOR_ROLLED_BACK");
  await using original = await openStore(directory);
  await fill(original, 100);
  await original.checkpoint();
  await rejects(verify(directory, { anchor: forked }), "ERR_ANCHOR_FORKED");
});

test("an older copy of the directory is rolled back, and the same history again when it only has to be sealed", async () => {
  const directory = join(temporaryDirectory(), "store");
  const [, older] = await anchored(directory);
  const store = await openStore(directory);
  await fill(store, 10);
  await store.close();
  const unsealed = copyOf(directory);
  const again = await openStore(directory);
  const anchor = await again.anchor();
  await fill(again, 10);
  const last = await again.anchor();
  await again.close();

  assert.is((await verify(unsealed, { anchor: older as Anchor })).anchor?.lsn, 20);
  const error = (await rejects(verify(unsealed, { anchor }), "ERR_ANCHOR_ROLLED_BACK")) as StoreError;
  assert.equal(
    [error.details["reason"], error.details["sealedLsn"], error.details["lastLsn"], anchor.lsn],
    ["sealed-less", 30, 40, 40],
  );
  const rolledBack = await openStore(unsealed);
  await rolledBack.checkpoint();
  await verify(unsealed, { anchor });
  await rejects(verify(unsealed, { anchor: last }), "ERR_ANCHOR_ROLLED_BACK");
  await fill(rolledBack, 10, "Other");
  await rolledBack.close();
  // Somebody throws away what is sealed as well: then there is no such store.
  rmSync(join(unsealed, "log"), { recursive: true });
  await rejects(verify(unsealed, { anchor: last }), "ERR_WAL_CORRUPT");
});

test("another store is refused before anything is read", async () => {
  const directory = join(temporaryDirectory(), "store");
  const other = join(temporaryDirectory(), "other");
  const [anchor] = await anchored(directory);
  await anchored(other);
  const error = (await rejects(verify(other, { anchor: anchor as Anchor }), "ERR_ANCHOR_FOREIGN")) as StoreError;
  assert.is(error.details["anchorStoreId"], anchor?.storeId);
  assert.is.not(error.details["storeId"], anchor?.storeId);
});

test("what a truncation dropped cannot be compared and does not pass; the horizon itself can", async () => {
  const directory = join(temporaryDirectory(), "store");
  const anchors = await anchored(directory);
  const store = await openStore(directory);
  await store.compact();
  await fill(store, 10);
  anchors.push(await store.anchor());
  const { horizon } = await store.truncateBefore(35, { archive: "none" });
  assert.is(horizon, 30);
  await store.close();
  for (const anchor of anchors.slice(0, 2)) {
    const error = (await rejects(verify(directory, { anchor }), "ERR_LOG_TRUNCATED")) as StoreError;
    assert.equal([error.details["horizon"], error.details["lsn"]], [30, anchor.lsn]);
  }
  // What is left goes on from that very value.
  assert.is((await verify(directory, { anchor: anchors[2] as Anchor })).anchor?.lsn, 30);
  assert.is((await verify(directory, { anchor: anchors[3] as Anchor })).anchor?.lsn, 40);
  const other = { ...(anchors[2] as Anchor), hash: "1".repeat(64) };
  await rejects(verify(directory, { anchor: other }), "ERR_ANCHOR_FORKED");
});

test("a signed anchor is trusted by its key only, and no changed one is believed", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const stranger = generateKeyPairSync("ed25519");
  const store = await openStore(directory);
  await fill(store, 10);
  const plain = await store.anchor();
  const anchor = await store.anchor({ signWith: privateKey });
  assert.equal([anchor.lsn, anchor.hash], [plain.lsn, plain.hash]);
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }) as string;
  assert.is((await store.anchor({ signWith: pem })).publicKey, anchor.publicKey);
  await rejects(store.anchor({ signWith: publicKey }), (error) => /option signWith/.test(error.message));
  await rejects(store.anchor({ sign: pem } as object), (error) => /unknown option "sign"/.test(error.message));
  await store.close();

  const trusted = await verify(directory, { anchor, publicKey });
  assert.equal([trusted.anchor?.signedBy, trusted.anchor?.isTrusted], [anchor.publicKey, true]);
  const untrusted = await verify(directory, { anchor });
  assert.equal([untrusted.anchor?.signedBy, untrusted.anchor?.isTrusted], [anchor.publicKey, false]);
  assert.equal((await verify(directory, { anchor: plain })).anchor?.signedBy, null);
  assert.is((await verify(directory, {})).anchor, null);

  const refused = async (options: VerifySealedOptions, reason: string): Promise<void> => {
    const error = (await rejects(verify(directory, options), "ERR_ANCHOR_SIGNATURE")) as StoreError;
    assert.is(error.details["reason"], reason);
  };
  await refused({ anchor: plain, publicKey }, "unsigned");
  await refused({ anchor, publicKey: stranger.publicKey }, "other-key");
  await refused({ anchor: { ...anchor, at: anchor.at + 1 }, publicKey }, "broken");
  await refused({ anchor: { ...anchor, lsn: 5 } }, "broken");
  await refused({ anchor: { ...anchor, hash: "1".repeat(64) } }, "broken");
  await rejects(verify(directory, { anchor: { ...anchor, version: 2 } as unknown as Anchor }), "ERR_ANCHOR_INVALID");
  await rejects(verify(directory, { publicKey }), (error) => error instanceof TypeError);
  await rejects(verify(directory, { anchor, publicKey: "none" }), (error) => error instanceof TypeError);
  await rejects(verify(directory, { anker: 1 } as object), (error) => error instanceof TypeError);
});

test("a repair that loses something makes another history from there on", async () => {
  const directory = join(temporaryDirectory(), "store");
  const [first, , last] = (await anchored(directory)) as [Anchor, Anchor, Anchor];
  // What the writer has sealed its own file still holds, until another has come and made a checkpoint.
  const next = await openStore(directory);
  await fill(next, 1);
  await next.checkpoint();
  await next.close();
  rmSync(join(directory, "log", "0000000002.seal"));
  const { status, lostLsns } = await repairStore(directory, { dryRun: false });
  assert.equal([status, lostLsns], ["repaired", 10]);
  await verify(directory, { anchor: first });
  await rejects(verify(directory, { anchor: last }), "ERR_ANCHOR_FORKED");
});

test("an encrypted store has anchors that need its key to be checked", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory, { encryption: { key: keyOf(1) } });
  await fill(store, 10);
  const anchor = await store.anchor();
  await fill(store, 10);
  await store.close();
  assert.is((await verify(directory, { anchor }, 1)).anchor?.lsn, 10);
  await rejects(verify(directory, { anchor: { ...anchor, hash: "1".repeat(64) } }, 1), "ERR_ANCHOR_FORKED");
  await rejects(verify(directory, { anchor }), "ERR_KEY_MISSING");
});

test("closing a reader ends its verification with a code", async () => {
  const directory = join(temporaryDirectory(), "store");
  const [anchor] = await anchored(directory);
  const reader = await openReader(directory);
  const verifying = rejects(reader.verifySealed({ anchor: anchor as Anchor }), "ERR_STORE_CLOSED");
  await reader.close();
  await verifying;
  await rejects(() => reader.verifySealed({ anchor: anchor as Anchor }), "ERR_STORE_CLOSED");
});

test("an anchor is checked while others write, and compact what is read", async () => {
  const directory = join(temporaryDirectory(), "store");
  await using store = await openStore(directory);
  await fill(store, 10);
  const anchor = await store.anchor();
  await using other = await openStore(directory);
  const [, , , theirs] = await Promise.all([
    fill(store, 30),
    verify(directory, { anchor }),
    store.compact(),
    other.anchor(),
  ]);
  assert.ok(theirs.lsn >= anchor.lsn);
  await verify(directory, { anchor });
  await verify(directory, { anchor: theirs });
});
