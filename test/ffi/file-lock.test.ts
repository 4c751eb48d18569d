import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { FileLock } from "../../src/ffi/file-lock.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("ffi/file-lock");

function isLockedForOthers(path: string): boolean {
  return spawnSync("flock", ["--nonblock", path, "true"]).status === 1;
}

test("one descriptor at a time has the lock, in one process as in two", () => {
  const path = join(temporaryDirectory(), "owner");
  const first = FileLock.tryTake(path) as FileLock;
  assert.is(first.path, path);
  assert.is(FileLock.tryTake(path), null);
  assert.is(isLockedForOthers(path), true);
  first.release();
  assert.is(isLockedForOthers(path), false);
  const second = FileLock.tryTake(path) as FileLock;
  first.release(); // a second time: the descriptor's number belongs to the second now
  assert.is(isLockedForOthers(path), true);
  second.release();
});

test("a child process does not inherit the lock", () => {
  const path = join(temporaryDirectory(), "owner");
  const lock = FileLock.tryTake(path) as FileLock;
  // The child lives on while the lock is released and taken again.
  const script = `flock --nonblock "$0" true; echo $?; ls -l /proc/self/fd`;
  const child = spawnSync("sh", ["-c", script, path], { encoding: "utf8" });
  assert.match(child.stdout, /^1\n/);
  assert.not.match(child.stdout, path);
  lock.release();
});

test("a lock in a directory that does not exist is the error of opening it", async () => {
  await rejects(async () => FileLock.tryTake(join(temporaryDirectory(), "none", "owner")), "ENOENT");
});
