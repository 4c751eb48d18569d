import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { diagnose, examine, type MachineFacts } from "../../src/cli/doctor.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("cli/doctor");

const GOOD: MachineFacts = {
  kernel: "6.18.44",
  node: "v20.20.2",
  directory: "/data",
  fileSystem: "ext4",
  isNetwork: false,
  flushesDevice: true,
  freeBytes: 1e12,
  notWritable: null,
  io: { backend: "uring", driver: "liburing", direct: true, reason: null, publishes: true },
  ioUringDisabled: 0,
  memlockBytes: null,
};

function troubles(facts: Partial<MachineFacts>): string[] {
  return diagnose({ ...GOOD, ...facts })
    .filter((finding) => finding.status !== "ok")
    .map(({ name, status, advice }) => {
      assert.ok(advice !== null && advice.length > 10, `${name} says what to do`);
      return `${name} ${status}`;
    });
}

test("has nothing to say about a good machine, with liburing or without", () => {
  assert.equal(troubles({}), []);
  assert.equal(
    troubles({ io: { backend: "uring", driver: "syscall", direct: true, reason: null, publishes: true } }),
    [],
  );
  assert.equal(troubles({ kernel: "5.10.0-23-amd64", node: "v22.1.0", memlockBytes: 8 * 1024 * 1024 }), []);
});

test("names what is wrong, and what to do", () => {
  assert.equal(troubles({ node: "v20.18.0" }), ["node problem"]);
  assert.equal(troubles({ node: "v18.20.0" }), ["node problem"]);
  assert.equal(troubles({ kernel: "5.4.0" }), ["kernel warning"]);
  assert.equal(troubles({ fileSystem: "nfs", isNetwork: true }), ["filesystem problem"]);
  for (const fileSystem of ["tmpfs", "btrfs", "zfs", "overlayfs"])
    assert.equal(troubles({ fileSystem }), ["filesystem warning"]);
  assert.equal(troubles({ freeBytes: 1_000_000 }), ["free space warning"]);
  assert.equal(troubles({ memlockBytes: 65_536 }), ["memlock warning"]);
  assert.equal(troubles({ notWritable: "EACCES", io: null }), [
    "directory problem",
    "io_uring warning",
    "O_DIRECT warning",
  ]);
  const pool = {
    backend: "threadpool",
    driver: null,
    direct: true,
    reason: "this kernel has no io_uring (ENOSYS)",
    publishes: false,
  } as const;
  assert.equal(troubles({ io: pool }), ["io_uring warning"]);
  assert.equal(
    troubles({ io: { backend: "buffered", driver: null, direct: false, reason: "tmpfs", publishes: false } }),
    ["io_uring warning", "O_DIRECT warning"],
  );
});

test("warns of a mount that does not flush", () => {
  assert.equal(troubles({ flushesDevice: false }), ["flushes problem"]);
});

test("names the setting that forbids io_uring", () => {
  const io = {
    backend: "threadpool",
    driver: null,
    direct: true,
    reason: "not allowed (EPERM)",
    publishes: false,
  } as const;
  const adviceOf = (ioUringDisabled: number | null) =>
    diagnose({ ...GOOD, io, ioUringDisabled }).find(({ name }) => name === "io_uring")?.advice ?? "";
  assert.match(adviceOf(2), "kernel.io_uring_disabled=0");
  assert.match(adviceOf(0), "seccomp");
  assert.match(adviceOf(null), "seccomp");
});

test("looks at the nearest directory above a store that does not exist, and leaves nothing there", async () => {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, "a"));
  const facts = await examine(join(directory, "a/store/deep"));
  assert.is(facts.directory, join(directory, "a"));
  assert.is(facts.notWritable, null);
  assert.is(facts.node, process.version);
  assert.ok(facts.freeBytes > 0);
  assert.ok(facts.io !== null);
  assert.equal(readdirSync(join(directory, "a")), []);
});

test("a place where no file can be made is a finding, not a failure", async () => {
  const facts = await examine("/proc/varve");
  assert.ok(facts.notWritable !== null);
  assert.is(facts.io, null);
});
