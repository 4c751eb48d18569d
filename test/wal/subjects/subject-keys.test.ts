/** The file of subject keys: made once for each subject, destroyed for good, and never taken for what it is not. */

import { existsSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { crc32 } from "node:zlib";
import type { StoreError } from "../../../src/errors.js";
import { flockExclusive } from "../../../src/ffi/index.js";
import { StoreKeys } from "../../../src/wal/crypt/store-keys.js";
import {
  RECORDS_PER_BLOCK,
  SUBJECT_BLOCK_BYTES,
  type SubjectCopy,
  subjectCopyOffset,
  subjectRecordOffset,
} from "../../../src/wal/subjects/subject-block.js";
import { SUBJECT_HEADER_BYTES, SUBJECT_RECORD_BYTES } from "../../../src/wal/subjects/subject-format.js";
import { SubjectKeys, type SubjectKeysPlace } from "../../../src/wal/subjects/subject-keys.js";
import { change, keyOf } from "../../encryption/support.js";
import { assert, rejects } from "../../support/assert.js";
import { withFailing, withHeldFlushes } from "../../support/failing-files.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

const test = suite("wal/subjects/subject-keys");
const STORE_ID = Buffer.alloc(16, 9);
const AAD = Buffer.from("where it belongs");
const PLAIN = Buffer.from("what is said");

let base = "";
let path = "";
const open: { close(): Promise<void> | void }[] = [];
test.beforeEach(() => {
  base = temporaryDirectory();
  path = join(base, "subjects");
  mkdirSync(join(base, "store"));
});
test.afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

/** As an open store has them: the first is current. */
async function masters(...bytes: readonly number[]): Promise<StoreKeys> {
  const [key = 1, ...others] = bytes;
  const keys = await StoreKeys.load({ key: keyOf(key), otherKeys: others.map(keyOf) });
  open.push(keys);
  let encryption = keys.entered(STORE_ID, undefined);
  keys.adopt(STORE_ID, encryption);
  for (let slot = 1; slot < bytes.length; slot++) {
    encryption = keys.entered(STORE_ID, encryption, slot);
    keys.adopt(STORE_ID, encryption);
  }
  return keys;
}

async function opened(more: Partial<SubjectKeysPlace> = {}): Promise<SubjectKeys> {
  const place = { path, directory: join(base, "store"), storeId: STORE_ID, isWriting: true, isExpected: false };
  const keys = await SubjectKeys.open({ keys: await masters(1), busyWaitMs: 50, ...place, ...more });
  open.push(keys);
  return keys;
}

function sealed(keys: SubjectKeys, id: Buffer): Buffer {
  const bytes = keys.seal(id, AAD, Buffer.from(PLAIN));
  if (bytes === null) throw new Error("the key is destroyed");
  return bytes;
}

const read = (keys: SubjectKeys, id: Buffer, bytes: Buffer): string => {
  const result = keys.open(id, AAD, bytes);
  return result.kind === "plain"
    ? result.bytes.toString()
    : result.kind === "refused"
      ? result.error.code
      : result.kind;
};

/** Makes the checksums of a record and of its block hold again. */
function mend(file: Buffer, index: number, copy: SubjectCopy): void {
  const checksum = (at: number, length: number): void => {
    file.writeUInt32LE(crc32(file.subarray(at, at + length - 4)), at + length - 4);
  };
  checksum(subjectRecordOffset(index, copy), SUBJECT_RECORD_BYTES);
  checksum(subjectCopyOffset(0, copy), SUBJECT_BLOCK_BYTES);
}

test("a subject has one key, in every opener and after every opening, and neither name nor key is in the file", async () => {
  const first = await opened();
  assert.is(first.liveKeyOf("ann"), null);
  const id = await first.ensureKey("ann");
  const second = await opened();
  assert.equal(second.liveKeyOf("ann"), id);
  assert.equal(await second.ensureKey("ann"), id);
  const bob = await second.ensureKey("bob");
  assert.not.equal(bob, id);
  assert.is(first.liveKeyOf("bob"), null); // not heard yet
  assert.equal(await first.ensureKey("bob"), bob);
  const bytes = sealed(first, id);
  assert.is(read(second, id, bytes), PLAIN.toString());
  assert.is(read(second, bob, bytes), "ERR_WAL_TAMPERED");
  assert.is(statSync(path).mode & 0o777, 0o600);
  assert.not.ok(readFileSync(path).includes("ann"));
  const reader = await opened({ isWriting: false });
  assert.is(read(reader, id, bytes), PLAIN.toString());
});

test("what is asked for at once, by several openers, is one key", async () => {
  const openers = await Promise.all([opened({ busyWaitMs: 5000 }), opened({ busyWaitMs: 5000 })]);
  const ids = await Promise.all([...openers, ...openers, ...openers].map((keys) => keys.ensureKey("ann")));
  assert.is(new Set(ids.map((id) => id.toString("hex"))).size, 1);
  assert.is(statSync(path).size, subjectCopyOffset(0, 1)); // in one copy
});

test("more keys than memory has slots for are unsealed again and again", async () => {
  const keys = await opened();
  const ids: Buffer[] = [];
  for (let index = 0; index < 300; index++) ids.push(await keys.ensureKey(`s-${index}`));
  const bytes = ids.map((id) => sealed(keys, id));
  for (const [index, id] of ids.entries()) assert.is(read(keys, id, bytes[index] as Buffer), PLAIN.toString());
});

test("a destroyed key is gone from the file, for all openers at once, and the next one is another", async () => {
  const [keys, other] = [await opened(), await opened()];
  const id = await keys.ensureKey("ann");
  const bob = await keys.ensureKey("bob");
  const bytes = sealed(keys, id);
  assert.is(read(other, id, bytes), PLAIN.toString());
  const before = readFileSync(path);
  assert.equal(await keys.destroySubject("ann"), [id.toString("hex")]);
  for (const copy of [0, 1] as const) {
    const at = subjectRecordOffset(0, copy);
    const record = readFileSync(path).subarray(at, at + SUBJECT_RECORD_BYTES);
    assert.ok(record.subarray(36, 252).every((byte) => byte === 0));
    assert.ok(before.subarray(at + 36, at + 128).some((byte) => byte !== 0));
  }
  for (const each of [keys, other, await opened(), await opened({ isWriting: false })]) {
    assert.is(read(each, id, bytes), "destroyed");
    assert.ok(each.isDestroyed(id.toString("hex")));
  }
  assert.is(other.seal(id, AAD, Buffer.from(PLAIN)), null);
  assert.is(other.liveKeyOf("ann"), null);
  const next = await other.ensureKey("ann");
  assert.not.equal(next, id);
  assert.equal(await keys.destroySubject("ann"), [id.toString("hex"), next.toString("hex")]);
  assert.equal(await keys.destroySubject("nobody"), []);
  assert.is(read(other, bob, sealed(keys, bob)), PLAIN.toString());
});

test("a block that a device has written over a copy of another one, with a destroyed key in the same place, destroys nothing there", async () => {
  const keys = await opened();
  const ids: Buffer[] = [];
  for (let number = 0; number <= RECORDS_PER_BLOCK; number++) ids.push(await keys.ensureKey(`subject ${number}`));
  const [first, second] = [ids[0] as Buffer, ids[RECORDS_PER_BLOCK] as Buffer];
  const [bytes, others] = [sealed(keys, first), sealed(keys, second)];
  await keys.destroySubject(`subject ${RECORDS_PER_BLOCK}`);
  const whole = readFileSync(path);
  for (const copy of [0, 1] as const) {
    const damaged = Buffer.from(whole);
    const from = subjectCopyOffset(1, copy);
    whole.copy(damaged, subjectCopyOffset(0, copy), from, from + SUBJECT_BLOCK_BYTES);
    writeFileSync(path, damaged);
    // What was added to a block last is in one copy: without that one who opens the file is refused.
    const again = await opened().catch((error: StoreError) => error.code);
    assert.ok(typeof again !== "string" || again === "ERR_WAL_CORRUPT");
    for (const each of typeof again === "string" ? [keys] : [keys, again]) {
      const found = read(each, first, bytes);
      assert.ok(found === PLAIN.toString() || found === "ERR_WAL_CORRUPT", found);
      assert.is(each.isDestroyed(first.toString("hex")), false);
      assert.is(read(each, second, others), "destroyed");
    }
  }
});

test("a first copy that was never finished is free space, and whatever is not whole behind a block that is full", async () => {
  for (const made of [0, 15]) {
    let keys = await opened();
    for (let index = 0; index < made; index++) await keys.ensureKey(`s-${index}`);
    await keys.close();
    const whole = readFileSync(path);
    const full = Buffer.concat([whole, Buffer.alloc(subjectCopyOffset(made / 15, 0) - whole.length)]);
    for (const tail of [
      Buffer.alloc(100, 1),
      Buffer.alloc(SUBJECT_BLOCK_BYTES),
      Buffer.alloc(SUBJECT_BLOCK_BYTES, 7),
    ]) {
      writeFileSync(path, Buffer.concat([full, tail]));
      keys = await opened();
      assert.is(keys.liveKeyOf("ann"), null);
      const id = await keys.ensureKey("ann");
      await keys.close();
      keys = await opened();
      assert.equal(keys.liveKeyOf("ann"), id);
      for (let index = 0; index < made; index++) assert.ok(keys.liveKeyOf(`s-${index}`) !== null);
      await keys.close();
      assert.is(readFileSync(path).length, full.length + SUBJECT_BLOCK_BYTES);
    }
    rmSync(path);
  }
});

test("a block of which neither copy is whole is damage, and so is a record that is not whole in one that is", async () => {
  const keys = await opened();
  for (let index = 0; index < 20; index++) await keys.ensureKey(`s-${index}`);
  await keys.close();
  const whole = readFileSync(path);
  const refused = async (offset: number, spoil: (bytes: Buffer) => void): Promise<void> => {
    writeFileSync(path, whole);
    change(path, spoil);
    const error = (await rejects(opened(), "ERR_WAL_CORRUPT")) as StoreError;
    assert.is(error.details["offset"], offset);
    await rejects(opened({ isWriting: false }), "ERR_WAL_CORRUPT");
  };
  for (const block of [0, 1]) {
    const [first, second] = [subjectCopyOffset(block, 0), subjectCopyOffset(block, 1)] as const;
    await refused(first, (bytes) => bytes.fill(7, first, second + SUBJECT_BLOCK_BYTES));
    await refused(first, (bytes) => bytes.fill(7, first + 60, first + 61).fill(7, second + 70, second + 71));
  }
  // What is gone altogether, with others behind it.
  await refused(subjectRecordOffset(0, 0), (bytes) => {
    bytes.fill(0, subjectCopyOffset(0, 0), subjectCopyOffset(1, 0));
  });
  await refused(subjectRecordOffset(3, 0), (bytes) => {
    for (const copy of [0, 1] as const) {
      const at = subjectRecordOffset(3, copy);
      bytes.fill(7, at, at + 10);
      bytes.writeUInt32LE(
        crc32(bytes.subarray(subjectCopyOffset(0, copy), subjectCopyOffset(0, copy) + SUBJECT_BLOCK_BYTES - 4)),
        subjectCopyOffset(0, copy) + SUBJECT_BLOCK_BYTES - 4,
      );
    }
  });
});

test("a record that somebody changed who has no key is an error for that subject, and no other", async () => {
  const keys = await opened();
  const ids = [await keys.ensureKey("ann"), await keys.ensureKey("bob"), await keys.ensureKey("cid")] as const;
  const bytes = ids.map((id) => sealed(keys, id));
  await keys.close();
  change(path, (file) => {
    for (const copy of [0, 1] as const) {
      const [ann, bob] = [subjectRecordOffset(0, copy), subjectRecordOffset(1, copy)];
      // The key of one in the place of the other.
      file.copyWithin(ann + 36, bob + 36, bob + 128);
      mend(file, 0, copy);
      file.writeUInt8((file[bob + 50] as number) ^ 1, bob + 50);
      mend(file, 1, copy);
    }
  });
  const again = await opened();
  assert.equal(
    ids.map((id, index) => read(again, id, bytes[index] as Buffer)),
    ["ERR_WAL_TAMPERED", "ERR_WAL_TAMPERED", PLAIN.toString()],
  );
});

test("whichever bit of the file flips, a key is the same, refused with a code, or destroyed as before: never another", async () => {
  const keys = await opened();
  const ids = [await keys.ensureKey("ann"), await keys.ensureKey("bob"), await keys.ensureKey("cid")] as const;
  const bytes = ids.map((id) => sealed(keys, id));
  await keys.destroySubject("bob");
  await keys.close();
  const whole = readFileSync(path);
  const owner = await masters(1);
  const counts = new Map<string, number>();
  for (let bit = 0; bit < whole.length * 8; bit += bit < SUBJECT_HEADER_BYTES * 8 ? 3 : 31) {
    const damaged = Buffer.from(whole);
    damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
    writeFileSync(path, damaged);
    let outcome: string;
    try {
      const place = { path, directory: join(base, "store"), storeId: STORE_ID, keys: owner, busyWaitMs: 0 };
      const reader = await SubjectKeys.open({ ...place, isWriting: false, isExpected: true });
      const texts = ids.map((id, index) => read(reader, id, bytes[index] as Buffer));
      await reader.close();
      const expected = [PLAIN.toString(), "destroyed", PLAIN.toString()];
      for (const [index, text] of texts.entries()) {
        assert.ok(text === expected[index] || text.startsWith("ERR_"), `bit ${bit}: ${texts}`);
      }
      outcome = texts.find((text) => text.startsWith("ERR_")) ?? "same";
    } catch (error) {
      outcome = (error as StoreError).code;
    }
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  }
  // Only the header is there once.
  assert.equal([...counts.keys()].sort(), ["ERR_KEY_WRONG", "ERR_WAL_CORRUPT", "same"]);
});

test("what is no file of these keys, or of others, or is missing, is refused by name, and left as it is", async () => {
  const keys = await opened();
  await keys.ensureKey("ann");
  await keys.close();
  const whole = readFileSync(path);
  const refused = async (code: string, more: Partial<SubjectKeysPlace> = {}): Promise<void> => {
    const before = existsSync(path) ? readFileSync(path) : null;
    const error = (await rejects(opened(more), code as never)) as Error;
    assert.ok(error.message.includes(path), error.message);
    assert.equal(existsSync(path) ? readFileSync(path) : null, before);
  };
  await refused("ERR_WAL_FOREIGN", { storeId: Buffer.alloc(16, 8) });
  await refused("ERR_KEY_WRONG", { keys: await masters(2) });
  for (const isWriting of [true, false]) {
    change(path, (bytes) => {
      bytes.writeUInt32LE(isWriting ? 1 : 3, 8);
      bytes.writeUInt32LE(crc32(bytes.subarray(0, 508)), 508);
    });
    await refused("ERR_WAL_VERSION", { isWriting });
    writeFileSync(path, whole);
    change(path, (bytes) => bytes.writeUInt8(1, 200));
    await refused("ERR_WAL_CORRUPT", { isWriting });
    for (const other of ["a shopping list\n", "x".repeat(2000)]) {
      writeFileSync(path, other);
      await refused("ERR_KEY_WRONG", { isWriting });
    }
    writeFileSync(path, "");
    await refused("ERR_KEY_MISSING", { isWriting, isExpected: true });
    rmSync(path);
    await refused("ERR_KEY_MISSING", { isWriting, isExpected: true });
    writeFileSync(path, whole);
  }
  const inside = join(base, "store", "subjects");
  await rejects(
    opened({ path: inside }),
    (error) => error instanceof TypeError && error.message.includes("subjectKeys"),
  );
  await rejects(opened({ keys: null }), "ERR_KEY_WRONG");
});

test("a file that somebody began and died is finished", async () => {
  for (const begun of [Buffer.alloc(0), Buffer.alloc(512), Buffer.alloc(9000, 7)]) {
    writeFileSync(`${path}.tmp`, begun);
    const keys = await opened();
    const id = await keys.ensureKey("ann");
    await keys.close();
    const again = await opened();
    assert.equal(again.liveKeyOf("ann"), id);
    await again.close();
    assert.not.ok(existsSync(`${path}.tmp`));
    rmSync(path);
  }
});

test("a reader that came before the file finds it", async () => {
  const reader = await opened({ isWriting: false });
  const keys = await opened();
  const id = await keys.ensureKey("ann");
  assert.is(read(reader, id, sealed(keys, id)), PLAIN.toString());
  assert.is(read(reader, Buffer.alloc(16, 3), sealed(keys, id)), "ERR_KEY_MISSING");
});

test("without space for a key there is none, nothing is left of it, and later there can be", async () => {
  const keys = await opened();
  await keys.ensureKey("ann");
  const before = readFileSync(path);
  for (const errno of ["ENOSPC", "EDQUOT"]) {
    await rejects(
      withFailing(
        "writeSync",
        errno,
        () => true,
        () => keys.ensureKey("bob"),
      ),
      "ERR_WAL_FULL",
    );
    assert.equal(readFileSync(path), before);
    assert.is(keys.liveKeyOf("bob"), null);
  }
  const id = await keys.ensureKey("bob");
  assert.equal((await opened()).liveKeyOf("bob"), id);
});

test("a key whose flush failed is taken back, and this opener makes none any more", async () => {
  const keys = await opened();
  const other = await opened();
  await keys.ensureKey("ann");
  const before = readFileSync(path);
  await rejects(
    withFailing(
      "fdatasync",
      "EIO",
      () => true,
      () => keys.ensureKey("bob"),
    ),
    "ERR_IO_FAILED",
  );
  assert.equal(readFileSync(path), before);
  assert.is(keys.liveKeyOf("bob"), null);
  await rejects(keys.ensureKey("bob"), "ERR_IO_FAILED");
  await rejects(keys.destroySubject("ann"), "ERR_IO_FAILED");
  const id = await other.ensureKey("bob");
  assert.equal(other.liveKeyOf("bob"), id);
});

test("a key that another is just making is not sealed by, and when it is taken back another can have its place", async () => {
  const [making, looking, third] = [await opened(), await opened({ busyWaitMs: 5000 }), await opened()];
  const reader = await opened({ isWriting: false });
  const ann = await making.ensureKey("ann");
  const unknown = Buffer.alloc(16, 1);
  const lookAround = (): void => {
    for (const each of [looking, reader]) assert.is(read(each, unknown, Buffer.alloc(40)), "ERR_KEY_MISSING");
  };
  await withHeldFlushes(async (release) => {
    const bob = making.ensureKey("bob");
    while (statSync(path).size < subjectCopyOffset(1, 0)) await delay(1);
    lookAround(); // both have seen it now
    assert.is(looking.liveKeyOf("bob"), null);
    const same = looking.ensureKey("bob"); // waits for the lock
    release();
    assert.equal(await same, await bob);
    assert.equal(looking.liveKeyOf("bob"), await bob);
  });
  let failing: Promise<unknown> = Promise.resolve();
  const before = readFileSync(path);
  await withFailing(
    "fdatasync",
    "EIO",
    () => true,
    async () => {
      failing = making.ensureKey("cid").catch((error: StoreError) => error.code);
      while (readFileSync(path).equals(before)) await new Promise((resolve) => process.nextTick(resolve));
      lookAround();
      assert.is(await failing, "ERR_IO_FAILED");
    },
  );
  assert.equal(readFileSync(path), before);
  const dan = await third.ensureKey("dan");
  const cid = await looking.ensureKey("cid");
  assert.not.equal(cid, dan);
  assert.equal(looking.liveKeyOf("dan"), dan);
  for (const [id, text] of [
    [ann, "ann"],
    [dan, "dan"],
    [cid, "cid"],
  ] as const) {
    const bytes = sealed(third, id);
    assert.is(read(reader, id, bytes), PLAIN.toString(), text);
    assert.is(read(looking, id, bytes), PLAIN.toString(), text);
  }
});

test("a destruction of which the first flush failed is none; after the second one has, whoever opens the file next ends it", async () => {
  for (const [doomed, outcome] of [
    [1, PLAIN.toString()],
    [2, "destroyed"],
  ] as const) {
    const keys = await opened();
    const id = await keys.ensureKey("ann");
    await keys.ensureKey("bob");
    const [bytes, before] = [sealed(keys, id), readFileSync(path)];
    await rejects(
      withFailing(
        "fdatasync",
        "EIO",
        (count) => count === doomed,
        () => keys.destroySubject("ann"),
      ),
      "ERR_IO_FAILED",
    );
    assert.is(readFileSync(path).equals(before), doomed === 1);
    await rejects(keys.destroySubject("ann"), "ERR_IO_FAILED");
    const again = await opened();
    assert.is(read(again, id, bytes), outcome);
    const { toLog } = again.compare([]);
    assert.equal(toLog, doomed === 1 ? [] : [id.toString("hex")]);
    assert.equal(await again.destroySubject("ann"), [id.toString("hex")]);
    assert.is(read(again, id, bytes), "destroyed");
    assert.not.ok(
      readFileSync(path).includes(before.subarray(subjectRecordOffset(0, 1) + 36, subjectRecordOffset(0, 1) + 128)),
    );
    rmSync(path);
  }
});

test("what the log knows as forgotten and the file does not, and the other way round, is found", async () => {
  const keys = await opened();
  const [ann, bob, cid] = [await keys.ensureKey("ann"), await keys.ensureKey("bob"), await keys.ensureKey("cid")];
  await keys.destroySubject("bob");
  await keys.destroySubject("cid");
  await keys.close();
  const again = await opened();
  const unknown = "ff".repeat(16);
  assert.equal(again.compare([ann.toString("hex"), cid.toString("hex"), unknown]), {
    toDestroy: [ann.toString("hex")],
    toLog: [bob.toString("hex")],
  });
});

test("another who has the file locked is waited for so long and no longer; a file that was taken away is told", async () => {
  const keys = await opened();
  const fd = openSync(path, "r+");
  assert.is(flockExclusive(fd), 0);
  await rejects(keys.ensureKey("ann"), "ERR_STORE_BUSY");
  rmSync(path);
  await rejects(keys.ensureKey("ann"), "ERR_KEY_MISSING");
  writeFileSync(path, "");
  await rejects(keys.ensureKey("ann"), "ERR_KEY_MISSING");
});

test("sealed anew, the file opens by the new master key only, has the same keys, and nothing of the former bytes", async () => {
  const both = await masters(2, 1);
  const first = await opened();
  const [ann, bob] = [await first.ensureKey("ann"), await first.ensureKey("bob")];
  const bytes = sealed(first, bob);
  await first.destroySubject("ann");
  await first.close();
  const before = readFileSync(path);
  const former = openSync(path, "r");
  const keys = await opened({ keys: both });
  await keys.reseal();
  await rejects(async () => keys.liveKeyOf("bob"), "ERR_STORE_CLOSED");
  assert.ok(
    readFileSync(former).every((byte) => byte === 0),
    "what was replaced is overwritten",
  );
  const after = readFileSync(path);
  for (const copy of [0, 1] as const) {
    const start = subjectRecordOffset(1, copy);
    for (let at = start + 36; at < start + 128; at += 4)
      assert.not.ok(after.includes(before.subarray(at, at + 4)), `${at}`);
  }
  await rejects(opened(), "ERR_KEY_WRONG");
  const again = await opened({ keys: await masters(2) });
  assert.equal(again.liveKeyOf("bob"), bob);
  assert.is(read(again, bob, bytes), PLAIN.toString());
  assert.is(read(again, ann, bytes), "destroyed");
  assert.not.ok(existsSync(`${path}.tmp`));
});

test("a sealing that was interrupted changes nothing, and what it left is overwritten", async () => {
  const keys = await opened({ keys: await masters(2, 1) });
  const id = await keys.ensureKey("ann");
  const before = readFileSync(path);
  writeFileSync(`${path}.tmp`, before);
  const left = openSync(`${path}.tmp`, "r");
  await keys.close();
  const again = await opened({ keys: await masters(2, 1) });
  assert.not.ok(existsSync(`${path}.tmp`));
  assert.ok(readFileSync(left).every((byte) => byte === 0));
  assert.equal(readFileSync(path), before);
  assert.equal(again.liveKeyOf("ann"), id);
});

test("once it is closed nothing is done with it", async () => {
  const keys = await opened();
  const id = await keys.ensureKey("ann");
  const making = keys.ensureKey("bob");
  await keys.close();
  await making; // had begun
  await rejects(async () => keys.seal(id, AAD, Buffer.from(PLAIN)), "ERR_STORE_CLOSED");
  await rejects(async () => keys.ensureKey("ann"), "ERR_STORE_CLOSED");
  await keys.close();
});
