import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AlignedBuffer, BLOCK_BYTES } from "../../src/ffi/aligned-buffer.js";
import type { BlockIo } from "../../src/ffi/block-io.js";
import { checkResult, DirectFile, replaceFile, syncDirectory } from "../../src/ffi/direct-file.js";
import { EAGAIN, EINTR, EIO } from "../../src/ffi/errno.js";
import { openIo } from "../../src/ffi/open-io.js";
import { assert, rejects, sameBytes } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("ffi/direct-file");

let directory = "";
let io: BlockIo;
test.beforeEach(() => {
  directory = temporaryDirectory();
  const probe = join(directory, "probe");
  writeFileSync(probe, "");
  io = openIo("auto", probe);
});
test.afterEach(() => io.close());

function openDescriptors(path: string): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false; // the descriptor of the listing itself
    }
  }).length;
}

test("a file is created once", async () => {
  const path = join(directory, "file");
  const file = await DirectFile.create(io, path);
  await rejects(DirectFile.create(io, path), "EEXIST");
  await file.close();
  assert.is(openDescriptors(path), 0);
});

test("what is written is read back, and the file knows its size", async () => {
  const file = await DirectFile.create(io, join(directory, "file"));
  const buffer = new AlignedBuffer(2 * BLOCK_BYTES);
  buffer.bytes.fill(7);
  await file.allocate(4 * BLOCK_BYTES);
  assert.is(await file.write(buffer, 0, 2 * BLOCK_BYTES, BLOCK_BYTES, true), 2 * BLOCK_BYTES);
  await file.dataSync();
  assert.is(await file.byteLength(), 4 * BLOCK_BYTES);
  buffer.bytes.fill(0);
  assert.is(await file.read(buffer, 0, BLOCK_BYTES, 2 * BLOCK_BYTES), BLOCK_BYTES);
  sameBytes(buffer.bytes, Buffer.concat([Buffer.alloc(BLOCK_BYTES, 7), Buffer.alloc(BLOCK_BYTES)]));
  await file.truncate(BLOCK_BYTES);
  assert.is(await file.byteLength(), BLOCK_BYTES);
  await file.close();
  buffer.unmap();
});

test("only one descriptor of a file has its lock, in one process as in two", async () => {
  const path = join(directory, "file");
  const first = await DirectFile.create(io, path);
  const second = await DirectFile.open(io, path, "write");
  assert.is(first.tryLock(), true);
  assert.is(first.tryLock(), true);
  assert.is(second.tryLock(), false);
  assert.is(spawnSync("flock", ["--nonblock", path, "true"]).status, 1);
  await first.close();
  assert.is(second.tryLock(), true);
  await second.close();
});

test("a child process does not inherit the lock", async () => {
  const path = join(directory, "file");
  const first = await DirectFile.create(io, path);
  assert.is(first.tryLock(), true);
  const listed = spawnSync("ls", ["-l", "/proc/self/fd"], { encoding: "utf8" });
  assert.not.match(listed.stdout, path);
  await first.close();
});

test("locking a file that is closed is an error, not a lock that another holds", async () => {
  const file = await DirectFile.create(io, join(directory, "file"));
  await file.close();
  await rejects(() => file.tryLock(), "ERR_IO_FAILED");
});

test("an operation on a closed file fails, and never reaches the file that got its number", async () => {
  const closed = await DirectFile.create(io, join(directory, "closed"));
  const number = closed.fd;
  await closed.close();
  const path = join(directory, "other");
  const other = await DirectFile.create(io, path);
  assert.is(other.fd, number, "the number was to be given again");
  const buffer = new AlignedBuffer(BLOCK_BYTES);
  assert.ok((await closed.write(buffer, 0, BLOCK_BYTES, 0, true)) < 0);
  assert.is(statSync(path).size, 0);
  await other.close();
  buffer.unmap();
});

test("an interrupted operation is done again; a failed one, and a sync above all, is not", async () => {
  const answers: number[] = [];
  let askedCount = 0;
  const answer = (run: () => void, completion: { complete(result: number): void }): void => {
    askedCount++;
    const next = answers.shift();
    if (next === undefined) run();
    else queueMicrotask(() => completion.complete(next));
  };
  const faulty: BlockIo = {
    ...io,
    write: (fd, buffer, bufferOffset, length, fileOffset, durable, completion) =>
      answer(() => io.write(fd, buffer, bufferOffset, length, fileOffset, durable, completion), completion),
    dataSync: (fd, completion) => answer(() => io.dataSync(fd, completion), completion),
  };
  const file = await DirectFile.create(faulty, join(directory, "file"));
  const buffer = new AlignedBuffer(BLOCK_BYTES);
  answers.push(-EINTR, -EAGAIN, -EINTR);
  assert.is(await file.write(buffer, 0, BLOCK_BYTES, 0, true), BLOCK_BYTES);
  assert.is(askedCount, 4);
  answers.push(-EIO);
  assert.is(await file.write(buffer, 0, BLOCK_BYTES, 0, true), -EIO);
  assert.is(askedCount, 5);
  answers.push(-EINTR);
  await rejects(file.dataSync(), "ERR_IO_FAILED");
  assert.is(askedCount, 6);
  await file.close();
  buffer.unmap();
});

test("direct I/O off a block boundary is refused by the kernel, and told as its errno", async () => {
  if (!io.description.direct) return;
  const file = await DirectFile.create(io, join(directory, "file"));
  const buffer = new AlignedBuffer(2 * BLOCK_BYTES);
  assert.is(await file.write(buffer, 1, BLOCK_BYTES, 0, true), -22);
  assert.is(await file.write(buffer, 0, BLOCK_BYTES, 100, true), -22);
  assert.is(await file.write(buffer, 0, 100, 0, true), -22);
  await file.close();
  buffer.unmap();
});

test("a failed operation is named with its file and errno", () => {
  assert.is(checkResult(4096, "writing", "/a/b"), 4096);
  try {
    checkResult(-28, "allocation", "/a/b");
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, "allocation of /a/b failed: ENOSPC");
    assert.equal((error as { details?: unknown }).details, { operation: "allocation", path: "/a/b", errno: "ENOSPC" });
  }
});

test("replacing a file puts the new bytes in its place and leaves nothing else", async () => {
  const path = join(directory, "state");
  await replaceFile(path, Buffer.from("one"));
  await replaceFile(path, Buffer.from("two"));
  assert.is(readFileSync(path, "utf8"), "two");
  assert.equal(readdirSync(directory).sort(), ["probe", "state"]);
  assert.is(statSync(path).mode & 0o777, 0o640);
});

test("replacing a file that cannot be replaced leaves it as it was, and nothing beside it", async () => {
  const path = join(directory, "state");
  await replaceFile(join(directory, "other"), Buffer.from("x"));
  mkdirSync(path);
  writeFileSync(join(path, "inside"), "kept");
  await rejects(replaceFile(path, Buffer.from("new")), () => true);
  assert.is(readFileSync(join(path, "inside"), "utf8"), "kept");
  assert.equal(readdirSync(directory).sort(), ["other", "probe", "state"]);
});

test("a reader of a file that is replaced sees the old bytes or the new ones", async () => {
  const path = join(directory, "state");
  const values = ["a".repeat(3000), "b".repeat(5000)];
  await replaceFile(path, Buffer.from(values[0] as string));
  let isWriting = true;
  const writing = (async () => {
    for (let round = 1; round <= 20; round++) await replaceFile(path, Buffer.from(values[round % 2] as string));
    isWriting = false;
  })();
  while (isWriting) {
    assert.ok(values.includes(readFileSync(path, "utf8")), "a mixture was read");
    await new Promise((resolve) => setImmediate(resolve));
  }
  await writing;
});

test("syncing a directory that is not there is an error", async () => {
  await syncDirectory(directory);
  await rejects(syncDirectory(join(directory, "absent")), "ENOENT");
  const path = join(directory, "file");
  writeFileSync(path, "");
  await rejects(syncDirectory(path), "ENOTDIR");
});
