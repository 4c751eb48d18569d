/** Packed blocks of sealed segments: an option of who makes them, and nothing that a reader has to know. */

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { openReader, openStore, rekeyStore, type StoreOptions } from "../../src/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("projections/store-compression");
const EVENTS = 2000;
const NEVER: StoreOptions = { checkpointWalBytes: 0, checkpointEntries: 0 };
const key = () => Buffer.alloc(32, 7);

async function fill(directory: string, from: number, options: StoreOptions): Promise<void> {
  const store = await openStore(directory, { ...NEVER, ...options });
  try {
    const note = "the customer paid, and the order was shipped to the same address as before";
    const appends = Array.from({ length: EVENTS }, (_, index) =>
      store.append(`order-${index % 50}`, { type: "Noted", data: { number: from + index, note } }),
    );
    await Promise.all(appends);
    await store.checkpoint();
  } finally {
    await store.close();
  }
}

function sealedBytes(directory: string): number {
  const log = join(directory, "log");
  return readdirSync(log).reduce((sum, name) => sum + statSync(join(log, name)).size, 0);
}

async function numbers(directory: string, options: Parameters<typeof openReader>[1] = {}): Promise<unknown[]> {
  const reader = await openReader(directory, options);
  try {
    await reader.verifySealed();
    const found: unknown[] = [];
    for await (const { data } of reader.readAll()) found.push((data as { number: number }).number);
    const stream: unknown[] = [];
    for await (const { data } of reader.readStream("order-7")) stream.push((data as { number: number }).number);
    assert.equal(
      stream,
      found.filter((number) => Number(number) % 50 === 7),
    );
    return found;
  } finally {
    await reader.close();
  }
}

const ALL = Array.from({ length: EVENTS }, (_, number) => number);

test("packed segments are smaller, and read as others are", async () => {
  const base = temporaryDirectory();
  const [plain, packed] = [join(base, "plain"), join(base, "packed")];
  await fill(plain, 0, {});
  await fill(packed, 0, { compression: "deflate" });
  assert.ok(sealedBytes(packed) < sealedBytes(plain) / 2, `${sealedBytes(packed)} of ${sealedBytes(plain)}`);
  assert.equal(await numbers(packed), ALL);
  assert.equal(await numbers(packed, { mapped: true }), ALL);
});

test("each writer packs what it makes, and a compaction writes all of it as its own", async () => {
  const directory = join(temporaryDirectory(), "store");
  await fill(directory, 0, { compression: "deflate" });
  await fill(directory, EVENTS, {});
  const mixed = sealedBytes(directory);
  const store = await openStore(directory, { ...NEVER, compression: "deflate" });
  await store.compact();
  await store.checkpoint(); // what the compaction replaced goes
  await store.close();
  assert.ok(sealedBytes(directory) < mixed * 0.8, `${sealedBytes(directory)} of ${mixed}`);
  assert.equal(await numbers(directory), [...ALL, ...ALL.map((number) => number + EVENTS)]);
});

test("encrypted stores are packed before they are encrypted, also when they are rekeyed", async () => {
  const base = temporaryDirectory();
  const [plain, directory] = [join(base, "plain"), join(base, "store")];
  await fill(plain, 0, {});
  await fill(directory, 0, { compression: "deflate", encryption: { key } });
  assert.ok(sealedBytes(directory) < sealedBytes(plain) / 2);
  const newKey = () => Buffer.alloc(32, 8);
  await rekeyStore(directory, { encryption: { key: newKey, otherKeys: [key] }, compression: "deflate" });
  assert.ok(sealedBytes(directory) < sealedBytes(plain) / 2);
  assert.equal(await numbers(directory, { encryption: { key: newKey } }), ALL);
});

test("any other packing is refused, and nothing is made", async () => {
  const directory = join(temporaryDirectory(), "store");
  const wrong = "zstd" as unknown as "none";
  const isRefusal = (error: Error): boolean =>
    error instanceof TypeError && /compression must be one of none, deflate/.test(error.message);
  await rejects(openStore(directory, { compression: wrong }), isRefusal);
  await fill(directory, 0, {});
  await rejects(rekeyStore(directory, { encryption: { key }, compression: wrong }), isRefusal);
  assert.equal(await numbers(directory), ALL);
});
