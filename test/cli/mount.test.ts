import { flushesDevice, mountOptions } from "../../src/cli/mount.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("cli/mount");

const MOUNTS = [
  "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw",
  "30 22 254:16 / /data rw,noatime shared:7 master:1 - ext4 /dev/vdb rw,nobarrier,data=ordered",
  "31 30 254:32 / /data/with\\040space rw - xfs /dev/vdc rw,attr2",
  "32 22 254:48 / /old rw - ext4 /dev/vdd rw,barrier=0",
  "33 22 254:48 / /old rw - ext4 /dev/vde rw",
  "no mount at all",
].join("\n");

test("of the mounts above a directory the nearest counts, and of two at one place the later", () => {
  assert.equal(mountOptions(MOUNTS, "/home"), ["rw", "relatime", "rw"]);
  assert.equal(mountOptions(MOUNTS, "/data"), ["rw", "noatime", "rw", "nobarrier", "data=ordered"]);
  assert.equal(mountOptions(MOUNTS, "/database"), ["rw", "relatime", "rw"]);
  assert.equal(mountOptions(MOUNTS, "/data/with space/store"), ["rw", "rw", "attr2"]);
  assert.equal(mountOptions(MOUNTS, "/old/store"), ["rw", "rw"]);
  assert.equal(mountOptions("", "/"), []);
});

test("a mount that keeps flushes from the device says nobarrier or barrier=0", () => {
  assert.not.ok(flushesDevice(mountOptions(MOUNTS, "/data/store")));
  assert.not.ok(flushesDevice(["rw", "barrier=0"]));
  assert.ok(flushesDevice(mountOptions(MOUNTS, "/")));
  assert.ok(flushesDevice(["rw", "barrier=1"]));
});
