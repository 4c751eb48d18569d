import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { MappedFile } from "../../src/ffi/mapped-file.js";
import { assert, rejects } from "../support/assert.js";
import { runChild } from "../support/child-process.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const TMPFS_MAGIC = 0x01021994;
const SHARED_MEMORY = "/dev/shm";
const TEBIBYTE = 2 ** 40;
const KIBIBYTE = 1024;

const test = suite("ffi/mapped-file");

test("a new file is zero, has its whole size and all its blocks", () => {
  const path = join(temporaryDirectory(), "control");
  const file = MappedFile.create(path, 64 * KIBIBYTE);
  assert.is(file.byteLength, 64 * KIBIBYTE);
  assert.ok(file.bytes.every((byte) => byte === 0));
  const { size, blocks } = statSync(path);
  assert.is(size, 64 * KIBIBYTE);
  assert.ok(blocks * 512 >= 64 * KIBIBYTE, `${blocks} blocks`);
  file.close();
});

test("the views show the same memory, which is the file's", () => {
  const path = join(temporaryDirectory(), "control");
  const file = MappedFile.create(path, 4096);
  file.bigint64[1] = 0x4045_0000_0000_0000n;
  assert.is(file.float64[1], 42);
  assert.is(file.int32[3], 0x4045_0000);
  file.bytes[0] = 9;
  assert.is(readFileSync(path)[0], 9);
  assert.is(file.bytes.length, 4096);
  file.close();
});

test("who maps a file sees what others do, and atomic operations are atomic across mappings", () => {
  const path = join(temporaryDirectory(), "control");
  const one = MappedFile.create(path, 4096);
  const two = MappedFile.open(path);
  const reader = MappedFile.open(path, "read");
  assert.is(Atomics.add(one.int32, 5, 2), 0);
  assert.is(Atomics.add(two.int32, 5, 3), 2);
  assert.is(Atomics.load(reader.int32, 5), 5);
  assert.is(Atomics.compareExchange(two.bigint64, 9, 0n, -1n), 0n);
  assert.is(one.bigint64[9], -1n);
  assert.is(reader.byteLength, 4096);
  for (const file of [one, two, reader]) file.close();
});

test("another process sees it too", async () => {
  const file = MappedFile.create(join(temporaryDirectory(), "control"), 4096);
  const child = new URL("./children/wake-word.js", import.meta.url);
  const end = await runChild(child, { arguments: [file.path, "16", "77"] });
  assert.is(end.code, 0, end.stderr);
  assert.is(Atomics.load(file.int32, 4), 77);
  file.close();
});

test("a name that exists is not created, and stays as it is", async () => {
  const path = join(temporaryDirectory(), "control");
  writeFileSync(path, "old");
  await rejects(async () => MappedFile.create(path, 4096), "EEXIST");
  assert.is(readFileSync(path, "utf8"), "old");
});

test("a file that cannot be mapped is refused", async () => {
  const directory = temporaryDirectory();
  await rejects(async () => MappedFile.open(join(directory, "none")), "ENOENT");
  for (const byteLength of [0, 12]) {
    const path = join(directory, `${byteLength}`);
    writeFileSync(path, Buffer.alloc(byteLength));
    await rejects(async () => MappedFile.open(path), "ERR_IO_FAILED");
  }
  await rejects(async () => MappedFile.create(join(directory, "large"), 2 ** 52), "ERR_IO_FAILED");
  assert.equal(readdirSync(directory).sort(), ["0", "12"]);
  for (const byteLength of [0, 12, -8])
    assert.throws(() => MappedFile.create(join(directory, "odd"), byteLength), /mapped file of/);
});

if (
  existsSync(SHARED_MEMORY) &&
  statfsSync(SHARED_MEMORY).type === TMPFS_MAGIC &&
  statfsSync(SHARED_MEMORY).blocks > 0
) {
  test("a full disk is told when the file is created, and nothing is left of it", async () => {
    // A tmpfs refuses at once what is larger than the whole of it.
    const directory = mkdtempSync(join(SHARED_MEMORY, "varve-"));
    try {
      await rejects(async () => MappedFile.create(join(directory, "control"), TEBIBYTE), "ERR_WAL_FULL");
      assert.equal(readdirSync(directory), []);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
} else {
  test.skip(
    "a full disk is told when the file is created, and nothing is left of it",
    `${SHARED_MEMORY} is no tmpfs here`,
  );
}

test("closing gives the descriptor back, and a second time does nothing", () => {
  const file = MappedFile.create(join(temporaryDirectory(), "control"), 4096);
  const { fd } = file;
  assert.ok(existsSync(`/proc/self/fd/${fd}`));
  file.close();
  assert.is(file.fd, -1);
  const next = MappedFile.open(file.path);
  file.close(); // its number belongs to the next one now
  next.bytes[0] = 1;
  assert.is(next.bytes[0], 1);
  assert.ok(existsSync(`/proc/self/fd/${next.fd}`));
  next.close();
});
