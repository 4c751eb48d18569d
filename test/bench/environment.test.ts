import { describeEnvironment, mountOf, parseMounts } from "../../bench/environment.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("bench/environment");

const MOUNTINFO = String.raw`27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
30 25 0:27 / /dev/shm rw,relatime shared:5 master:1 - tmpfs tmpfs rw,size=24684084k
40 27 8:1 / /mnt/big\040disk rw - xfs /dev/sda1 rw
41 27 8:2 / /mnt/big\040disk rw - btrfs /dev/sda2 rw
`;

test("reads mounts, with optional fields and spaces in names", () => {
  const mounts = parseMounts(MOUNTINFO);
  assert.is(mounts.length, 4);
  assert.equal(mounts[1], { deviceNumber: "0:27", mountPoint: "/dev/shm", filesystem: "tmpfs", source: "tmpfs" });
  assert.is(mounts[2]?.mountPoint, "/mnt/big disk");
});

test("a path lies on the nearest mount above it, and on the last of two", () => {
  const mounts = parseMounts(MOUNTINFO);
  for (const [path, filesystem] of [
    ["/", "ext4"],
    ["/dev/shmx", "ext4"],
    ["/dev/shm", "tmpfs"],
    ["/dev/shm/a/b", "tmpfs"],
    ["/mnt/big disk/store", "btrfs"],
  ] as const) {
    assert.is(mountOf(path, mounts)?.filesystem, filesystem, path);
  }
  assert.is(mountOf("/", []), null);
});

test("describes the machine it runs on", () => {
  const environment = describeEnvironment(temporaryDirectory());
  assert.is(environment.node, process.versions.node);
  assert.ok(environment.cpuCount >= 1 && environment.memoryGiB >= 0);
  for (const fact of [environment.cpu, environment.kernel, environment.filesystem, environment.device]) {
    assert.ok(fact !== "" && fact !== "unknown", JSON.stringify(environment));
  }
  assert.ok(environment.liburing === null || /^2(\.\d+)*$/.test(environment.liburing));
  assert.ok(environment.commit === null || /^[0-9a-f]{12}\+?$/.test(environment.commit));
});
