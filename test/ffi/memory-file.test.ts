import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { MemoryFile } from "../../src/ffi/memory-file.js";
import { assert, sameBytes } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("ffi/memory-file");

test("others in the process write and read it by its path, this one at offsets", () => {
  const file = MemoryFile.create();
  try {
    writeFileSync(file.path, "a longer text");
    // As C does for "wb": what was there is gone.
    writeFileSync(file.path, "text");
    file.write(Buffer.from(" and more"), 4);
    assert.is(readFileSync(file.path, "utf8"), "text and more");
    const piece = new Uint8Array(5);
    assert.is(file.read(piece, 5), 5);
    sameBytes(piece, Buffer.from("and m"));
    assert.is(file.read(piece, 10), 3);
    assert.is(file.read(piece, 13), 0);
  } finally {
    file.close();
  }
  assert.not.ok(existsSync(file.path));
});

test("two are two, and neither has a name in a directory", () => {
  const [one, other] = [MemoryFile.create(), MemoryFile.create()];
  one.write(Buffer.from("one"), 0);
  other.write(Buffer.from("other"), 0);
  assert.is(readFileSync(one.path, "utf8"), "one");
  assert.is(readFileSync(other.path, "utf8"), "other");
  for (const file of [one, other]) file.close();
});
