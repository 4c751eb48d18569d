import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { StoreError } from "../../src/errors.js";
import {
  checkDirectIo,
  explainRingRefusal,
  fileSystemName,
  isNetworkFileSystem,
  openIo,
} from "../../src/ffi/open-io.js";
import { Ring } from "../../src/ffi/ring.js";
import { assert, rejects } from "../support/assert.js";
import { runChild } from "../support/child-process.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const TMPFS_MAGIC = 0x01021994;
const SHARED_MEMORY = "/dev/shm";

const test = suite("ffi/open-io");
const child = new URL("./children/describe-io.js", import.meta.url);
const terminateWorkers = new URL("./children/terminate-workers.js", import.meta.url);
const sleepOnly = new URL("./children/sleep-only.js", import.meta.url);
const probe = join(temporaryDirectory(), "probe");
writeFileSync(probe, "");

const isDirect = checkDirectIo(probe) === true;
const ring = Ring.open("syscall");
const ringRefusal = ring instanceof Ring ? null : `io_uring is refused here: ${explainRingRefusal(ring.errno)}`;
if (ring instanceof Ring) ring.close();

interface Described {
  readonly backend?: string;
  readonly driver?: string | null;
  readonly direct?: boolean;
  readonly reason?: string | null;
  readonly code?: string;
  readonly message?: string;
}

async function describe(
  demand: string,
  options: { env?: Record<string, string>; under?: string[]; worker?: boolean } = {},
): Promise<Described> {
  const { worker, ...rest } = options;
  const end = await runChild(child, { arguments: [demand, probe, worker === true ? "worker" : "main"], ...rest });
  assert.is(end.code, 0, end.stderr);
  return JSON.parse(end.stdout) as Described;
}

test("buffered files and the thread pool can be asked for, and say so", async () => {
  const buffered = openIo("buffered", probe);
  assert.equal(buffered.description, {
    backend: "buffered",
    driver: null,
    direct: false,
    reason: "asked for",
    publishes: false,
  });
  await buffered.close();
  if (!isDirect) return;
  const pool = openIo("threadpool", probe);
  assert.equal(pool.description, {
    backend: "threadpool",
    driver: null,
    direct: true,
    reason: "asked for",
    publishes: false,
  });
  await pool.close();
});

if (ringRefusal === null && isDirect) {
  test("the best is io_uring with direct I/O, and needs no reason", async () => {
    for (const demand of ["auto", "uring"] as const) {
      const io = openIo(demand, probe);
      assert.is(io.description.backend, "uring");
      assert.is(io.description.direct, true);
      assert.is(io.description.reason, null);
      await io.close();
    }
  });

  test("without liburing the same ring is driven by the system calls", async () => {
    // The loader takes the first file of that name, and this one is no library.
    const directory = temporaryDirectory();
    writeFileSync(join(directory, "liburing.so.2"), "not a library");
    for (const demand of ["auto", "uring"]) {
      const io = await describe(demand, { env: { LD_LIBRARY_PATH: directory } });
      assert.equal(io, { backend: "uring", driver: "syscall", direct: true, reason: null, publishes: true });
    }
  });

  test("a worker thread has the ring too, with or without liburing", async () => {
    const io = await describe("uring", { worker: true });
    assert.equal(
      { ...io, driver: null },
      { backend: "uring", driver: null, direct: true, reason: null, publishes: true },
    );
    const directory = temporaryDirectory();
    writeFileSync(join(directory, "liburing.so.2"), "not a library");
    const raw = await describe("auto", { worker: true, env: { LD_LIBRARY_PATH: directory } });
    assert.equal(raw, { backend: "uring", driver: "syscall", direct: true, reason: null, publishes: true });
  });

  test("the process survives 20 worker threads that are terminated with writes in flight", async () => {
    const path = join(temporaryDirectory(), "file");
    const end = await runChild(terminateWorkers, { arguments: [path, "20"] });
    assert.is(end.code, 0, `${end.signal} ${end.stderr}`);
    assert.is(end.stdout, "20 terminated, all could be locked again, the process still writes\n");
  });
} else {
  const reason = ringRefusal ?? "the test directory's file system has no direct I/O";
  test.skip("the best is io_uring with direct I/O, and needs no reason", reason);
  test.skip("without liburing the same ring is driven by the system calls", reason);
  test.skip("a worker thread has the ring too, with or without liburing", reason);
  test.skip("the process survives 20 worker threads that are terminated with writes in flight", reason);
}

for (const demand of ["auto", "buffered"]) {
  for (const place of ["main", "worker"]) {
    test(`who only sleeps does not keep the process alive: ${demand}, ${place}`, async () => {
      const end = await runChild(sleepOnly, { arguments: [demand, join(temporaryDirectory(), "control"), place] });
      assert.is(end.code, 0, end.stderr);
      assert.is(end.stdout, "sleeping\n");
    });
  }
}

test("every refusal of io_uring is explained by what one can do about it", () => {
  assert.match(explainRingRefusal(-38), /kernel has no io_uring/);
  assert.match(explainRingRefusal(-1), /seccomp|io_uring_disabled/);
  assert.match(explainRingRefusal(-12), /RLIMIT_MEMLOCK/);
  assert.match(explainRingRefusal(-22), /EINVAL/);
});

const strace = spawnSync("strace", ["-o", "/dev/null", "true"]);
const refusals = [
  ["ENOSYS", /kernel has no io_uring/],
  ["EPERM", /seccomp/],
  ["ENOMEM", /RLIMIT_MEMLOCK/],
] as const;
for (const [errno, explanation] of refusals) {
  const name = `a kernel that refuses io_uring with ${errno} gets the thread pool, with the reason`;
  if (strace.status !== 0 || ringRefusal !== null || !isDirect) {
    test.skip(name, ringRefusal ?? (isDirect ? "strace is not installed or not allowed" : "no direct I/O"));
    continue;
  }
  test(name, async () => {
    const inject = `inject=io_uring_setup:error=${errno}`;
    const under = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=io_uring_setup", "-e", inject];
    const io = await describe("auto", { under });
    assert.is(io.backend, "threadpool");
    assert.is(io.direct, true);
    assert.match(String(io.reason), explanation);
    const refused = await describe("uring", { under });
    assert.is(refused.code, "ERR_IO_UNSUPPORTED");
    assert.match(String(refused.message), explanation);
  });
}

if (existsSync(SHARED_MEMORY) && statfsSync(SHARED_MEMORY).type === TMPFS_MAGIC) {
  test("memory that looks like a disk is not direct, and what demands direct I/O there is refused with the reason", async () => {
    const directory = mkdtempSync(join(SHARED_MEMORY, "varve-"));
    try {
      const path = join(directory, "probe");
      writeFileSync(path, "");
      assert.match(String(checkDirectIo(path)), /tmpfs/);
      const io = openIo("auto", path);
      assert.is(io.description.direct, false);
      assert.match(String(io.description.reason), /tmpfs/);
      await io.close();
      const error = await rejects(() => openIo("threadpool", path), "ERR_IO_UNSUPPORTED");
      assert.match(String((error as StoreError).details["reason"]), /tmpfs/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
} else {
  test.skip("memory that looks like a disk is not direct", `${SHARED_MEMORY} is no tmpfs here`);
}

test("a file system is named, and the local one is no network", () => {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, "a"));
  assert.ok(fileSystemName(directory).length > 0);
  assert.is(isNetworkFileSystem(directory), false);
});
