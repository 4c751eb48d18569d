import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { chance } from "./chance.js";
import { SimulatedDirectory, SimulatedDisk } from "./simulated-disk.js";
import type { SimulatedFile } from "./simulated-file.js";

const test = suite("simulation/simulated-disk");
const PAGE = 4096;

function bytesOf(byte: number, length = PAGE): Uint8Array {
  return new Uint8Array(length).fill(byte);
}

function fileIn(disk: SimulatedDisk, path: string): SimulatedFile {
  const { entry } = disk.find(path, "open");
  if (entry === null || entry instanceof SimulatedDirectory) throw new Error(`${path} is no file`);
  return entry;
}

function contentOf(disk: SimulatedDisk, path: string): number[] {
  const file = fileIn(disk, path);
  const bytes = new Uint8Array(file.size);
  file.read(bytes, 0);
  return [...new Set(bytes)];
}

/** A disk with one file of ones, all of it durable. */
function diskWithFile(): { readonly disk: SimulatedDisk; readonly file: SimulatedFile } {
  const disk = new SimulatedDisk();
  const file = disk.createFile("/a");
  disk.syncDirectory(disk.root);
  file.write(bytesOf(1), 0, true);
  return { disk, file };
}

test("a power cut can take what was not synced, and cannot take what was", () => {
  const { disk, file } = diskWithFile();
  file.write(bytesOf(2), 0, false);
  assert.equal(contentOf(disk, "/a"), [2]);
  assert.equal(contentOf(disk.afterPowerCut("none", chance(1, "test")), "/a"), [1]);
  assert.equal(contentOf(disk.afterPowerCut("all", chance(1, "test")), "/a"), [2]);
  file.syncPoint()();
  assert.equal(contentOf(disk.afterPowerCut("none", chance(1, "test")), "/a"), [2]);
});

test("a write in flight can be left in part, by sectors", () => {
  const { disk, file } = diskWithFile();
  file.begin(bytesOf(2), 0);
  assert.equal(contentOf(disk, "/a"), [1]);
  const left = Array.from({ length: 40 }, (_, seed) =>
    contentOf(disk.afterPowerCut("torn", chance(seed, "test")), "/a"),
  );
  assert.ok(left.some((content) => content.length === 2));
});

test("a sync covers what was written before it began, and nothing later", () => {
  const { disk, file } = diskWithFile();
  const succeed = file.syncPoint();
  file.write(bytesOf(2), 0, false);
  succeed();
  assert.equal(contentOf(disk.afterPowerCut("none", chance(1, "test")), "/a"), [1]);
});

test("a failed sync is forgotten: a later one that succeeds does not make up for it", () => {
  const { disk, file } = diskWithFile();
  file.write(bytesOf(2), 0, false);
  file.forget();
  file.syncPoint()();
  assert.equal(contentOf(disk.afterPowerCut("none", chance(1, "test")), "/a"), [1]);
});

test("an older write that was not synced does not undo a later one that is durable", () => {
  const { disk, file } = diskWithFile();
  file.write(bytesOf(2), 0, false);
  file.write(bytesOf(3), 0, true);
  for (let seed = 0; seed < 20; seed++) {
    assert.equal(contentOf(disk.afterPowerCut("random", chance(seed, "test")), "/a"), [3]);
  }
});

test("a name is durable when its directory was synced, and a rename is whole or not at all", () => {
  const { disk } = diskWithFile();
  disk.createFile("/b").write(bytesOf(2), 0, true);
  disk.rename("/b", "/a");
  for (const kind of ["none", "all", "each", "torn", "random"] as const) {
    for (let seed = 0; seed < 20; seed++) {
      const left = disk.afterPowerCut(kind, chance(seed, "test"));
      const names = [...left.root.entries.keys()].sort();
      assert.ok(names.includes("a"), "a rename never leaves neither");
      const content = contentOf(left, "/a");
      if (names.length === 2) assert.equal(content, [1]);
    }
  }
  disk.syncDirectory(disk.root);
  assert.equal(contentOf(disk.afterPowerCut("none", chance(1, "test")), "/a"), [2]);
});

test("what a power cut leaves depends on nothing but chance", () => {
  const { disk, file } = diskWithFile();
  for (let page = 0; page < 9; page++) file.write(bytesOf(page + 2), page * PAGE, false);
  const left = (seed: number): string => disk.afterPowerCut("random", chance(seed, "test")).digest();
  assert.is(left(7), left(7));
  assert.is.not(left(7), left(8));
});
