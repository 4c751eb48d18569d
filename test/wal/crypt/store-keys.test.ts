import {
  isStoreEncryption,
  type StoreEncryption,
  type StoreKeyEntry,
} from "../../../src/wal/crypt/store-encryption.js";
import { checkEncryption, FileKey, StoreKeys as Keys, type StoreKeys } from "../../../src/wal/crypt/store-keys.js";
import { assert, rejects } from "../../support/assert.js";
import { suite } from "../../support/suite.js";

const test = suite("wal/crypt/store-keys");
const STORE_ID = Buffer.alloc(16, 5);
const source = (byte: number) => (): Buffer => Buffer.alloc(32, byte);

let opened: StoreKeys[] = [];
test.afterEach(() => {
  for (const keys of opened) keys.close();
  opened = [];
});

async function load(first: number, ...others: number[]): Promise<StoreKeys> {
  const keys = await Keys.load({ key: source(first), otherKeys: others.map(source) });
  opened.push(keys);
  return keys;
}

function hexOf(keys: StoreKeys, file: FileKey): string {
  return keys.bytesOf(file).toString("hex");
}

test("a new key gets the next number, and is known again by its check", async () => {
  const one = await load(1);
  const first = one.entered(STORE_ID, undefined);
  assert.equal([first.lastKeyId, first.keys.length, first.plainThrough], [1, 1, 0]);
  one.adopt(STORE_ID, first);
  assert.is(one.currentId, 1);
  assert.is(one.entered(STORE_ID, first), first);
  const two = await load(2, 1);
  two.adopt(STORE_ID, first);
  const second = two.entered(STORE_ID, first);
  assert.equal(
    second.keys.map(({ id }) => id),
    [1, 2],
  );
  two.adopt(STORE_ID, second);
  assert.is(two.currentId, 2);
  assert.ok(isStoreEncryption(second) && second.keys[0]?.check !== second.keys[1]?.check);
  // The check of a key says nothing in another store.
  assert.is.not(one.entered(Buffer.alloc(16, 6), undefined).keys[0]?.check, first.keys[0]?.check);
});

test("a manifest that was read before the current key was named, and is heard of later, takes nothing back", async () => {
  const keys = await load(1);
  const first = keys.entered(STORE_ID, undefined);
  keys.adopt(STORE_ID, first);
  const slot = await keys.add(source(2));
  keys.adopt(STORE_ID, keys.entered(STORE_ID, first, slot));
  keys.use(slot);
  keys.adopt(STORE_ID, first);
  assert.is(keys.currentId, 2);
  assert.ok(keys.hasKey(1) && keys.hasKey(2));
});

test("keys of none that the manifest names, and one that is missing, are two errors", async () => {
  const one = await load(1);
  const first = one.entered(STORE_ID, undefined);
  const wrong = await load(3, 4);
  assert.is((await rejects(() => wrong.adopt(STORE_ID, first), "ERR_KEY_WRONG")).message.includes("03"), false);
  const two = await load(2, 1);
  two.adopt(STORE_ID, first);
  const second = two.entered(STORE_ID, first);
  const missing = await rejects(() => one.adopt(STORE_ID, second), "ERR_KEY_MISSING");
  assert.equal((missing as { details?: unknown }).details, { keyId: 2 });
});

test("a file's key depends on everything that names it, and is the same when its slot was given to another", async () => {
  const keys = await load(1);
  keys.adopt(STORE_ID, keys.entered(STORE_ID, undefined));
  const salt = Buffer.alloc(32, 1);
  const file = new FileKey(1, salt, Buffer.from("a"));
  const hex = hexOf(keys, file);
  const seen = new Set([hex]);
  for (let index = 0; index < 300; index++) {
    seen.add(hexOf(keys, new FileKey(1, Buffer.alloc(32, index), Buffer.from(index === 1 ? "b" : "a"))));
    seen.add(hexOf(keys, new FileKey(1, salt, Buffer.from(`a${index}`))));
  }
  assert.is(seen.size, 1 + 256 + 300);
  assert.is(hexOf(keys, file), hex);
  await rejects(() => keys.bytesOf(new FileKey(9, salt, Buffer.from("a"))), "ERR_KEY_MISSING");
});

test("another thread's ring has the same keys, and goes on when the first is closed", async () => {
  const keys = await load(2, 1);
  const encryption = keys.entered(STORE_ID, undefined);
  keys.adopt(STORE_ID, encryption);
  const { handle } = keys;
  assert.equal(Object.keys(handle).sort(), ["address", "currentSlot", "keyCount"]);
  const borrowed = Keys.borrow(handle);
  opened.push(borrowed);
  const file = new FileKey(1, Buffer.alloc(32), Buffer.from("a"));
  const hex = hexOf(keys, file);
  keys.close();
  borrowed.adopt(STORE_ID, encryption);
  assert.is(hexOf(borrowed, new FileKey(1, Buffer.alloc(32), Buffer.from("a"))), hex);
  await rejects(() => keys.bytesOf(file), "ERR_STORE_CLOSED");
});

test("the secret of the hash chain is the store's: the same under every key, and none where there was no key at first", async () => {
  const secretOf = (keys: StoreKeys): string => Buffer.from(keys.chainPepper ?? []).toString("hex");
  const one = await load(1);
  const first = one.entered(STORE_ID, undefined);
  one.adopt(STORE_ID, first);
  const two = await load(2, 1);
  two.adopt(STORE_ID, first);
  const second = two.entered(STORE_ID, first);
  const again = await load(1, 2);
  again.adopt(STORE_ID, second);
  const only = await load(2);
  only.adopt(STORE_ID, only.signed(STORE_ID, { ...second, keys: second.keys.slice(1) }));
  assert.is(secretOf(one).length, 64);
  assert.equal([secretOf(two), secretOf(again), secretOf(only)], [secretOf(one), secretOf(one), secretOf(one)]);
  assert.is.not(first.keys[0]?.pepper, second.keys[1]?.pepper);
  const other = await load(1);
  other.entered(STORE_ID, undefined);
  assert.is.not(secretOf(other), secretOf(one));
  const turning = await load(1);
  turning.turnsPlain = true;
  const turned = turning.entered(STORE_ID, undefined);
  turning.adopt(STORE_ID, turned);
  assert.equal([turned.keys[0]?.pepper, turning.chainPepper], [null, null]);
  const changed = (first.keys[0]?.pepper ?? "").replace(/.$/, (digit) => (digit === "0" ? "1" : "0"));
  const forged = one.signed(STORE_ID, { ...first, keys: [{ ...(first.keys[0] as StoreKeyEntry), pepper: changed }] });
  const fresh = await load(1);
  await rejects(() => fresh.adopt(STORE_ID, forged), "ERR_WAL_TAMPERED");
  await rejects(() => fresh.adopt(STORE_ID, { ...first, plainThrough: 5 }), "ERR_WAL_TAMPERED");
});

test("veiled names differ by name and key, and not by who asks", async () => {
  const [keys, same, other] = [await load(1), await load(2, 1), await load(3)];
  const encryption = keys.entered(STORE_ID, undefined);
  for (const ring of [keys, same]) ring.adopt(STORE_ID, encryption);
  other.adopt(STORE_ID, other.entered(STORE_ID, undefined));
  const veiled = (ring: StoreKeys, name: string): string => Buffer.from(ring.veil(Buffer.from(name))).toString("hex");
  assert.is(veiled(keys, "user-1"), veiled(same, "user-1"));
  assert.is.not(veiled(keys, "user-1"), veiled(keys, "user-2"));
  assert.is.not(veiled(keys, "user-1"), veiled(other, "user-1"));
  assert.is(veiled(keys, "n".repeat(1024)).length, 64);
});

test("a key is added, used and taken back; more than sixteen are refused", async () => {
  const keys = await load(1);
  let encryption: StoreEncryption = keys.entered(STORE_ID, undefined);
  keys.adopt(STORE_ID, encryption);
  const slot = await keys.add(source(2));
  assert.throws(() => keys.use(slot), /names a key/);
  encryption = keys.entered(STORE_ID, encryption, slot);
  keys.adopt(STORE_ID, encryption);
  assert.is(keys.currentId, 1);
  keys.use(slot);
  assert.is(keys.currentId, 2);
  for (let byte = 3; byte <= 16; byte++) await keys.add(source(byte));
  await rejects(keys.add(source(17)), (error) => error instanceof RangeError);
  keys.removeLast(15);
  await keys.add(source(17));
});

test("wrong options are named", () => {
  for (const [options, name] of [
    [1, "encryption"],
    [{}, "encryption.key"],
    [{ key: { file: "a" }, other: 1 }, "other"],
    [{ key: { file: "a" }, otherKeys: {} }, "otherKeys"],
    [{ key: { file: "a" }, otherKeys: [{ file: "b" }, null] }, "otherKeys\\[1\\]"],
    [{ key: { file: "a" }, otherKeys: Array.from({ length: 16 }, () => ({ file: "b" })) }, "otherKeys"],
  ] as const) {
    assert.throws(() => checkEncryption(options), new RegExp(name));
  }
});
