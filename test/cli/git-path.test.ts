import { decodeGitPath, quoteGitPath } from "../../src/cli/git-path.js";
import { assert } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";

const test = suite("cli/git-path");

test("a path that is UTF-8 stands for itself", () => {
  for (const path of [
    "a",
    "src/ä/日本.ts",
    "two\nlines",
    'say "hi"',
    "back\\slash",
    "__proto__",
    "-",
    " ",
    "a\uFFFDb",
  ]) {
    assert.is(decodeGitPath(Buffer.from(path)), path);
  }
});

test("a path that is not UTF-8 is quoted as git quotes it", () => {
  assert.is(decodeGitPath(Buffer.from("caf\xe9/\xfc", "latin1")), String.raw`"caf\351/\374"`);
  assert.is(
    decodeGitPath(Buffer.concat([Buffer.from('ä\n\t"\\\x01\x7f'), Buffer.from([0xff])])),
    String.raw`"\303\244\n\t\"\\\001\177\377"`,
  );
});

test("a path whose text reads like a quoted path is quoted itself", () => {
  const notUtf8 = Buffer.from([0xff]);
  const once = decodeGitPath(notUtf8);
  const twice = decodeGitPath(Buffer.from(once));
  const thrice = decodeGitPath(Buffer.from(twice));
  assert.is(once, String.raw`"\377"`);
  assert.is(twice, String.raw`"\"\\377\""`);
  assert.is(new Set([once, twice, thrice]).size, 3);
});

test("a path in quotes that no other path is quoted to stands for itself", () => {
  for (const path of ['"', '""', '"a"', String.raw`"\303\244"`, String.raw`"\9"`, String.raw`"\377`, '"\\"']) {
    assert.is(decodeGitPath(Buffer.from(path)), path);
  }
});

test("different paths have different texts", () => {
  const random = seededRandom();
  const alphabet = [0x22, 0x22, 0x5c, 0x5c, 0x33, 0x37, 0x6e, 0xff, 0x61];
  const pathOf = new Map<string, string>();
  const remember = (bytes: Buffer): void => {
    const text = decodeGitPath(bytes);
    const path = bytes.toString("latin1");
    assert.is(pathOf.get(text) ?? path, path, `both are ${text}`);
    pathOf.set(text, path);
  };
  for (let round = 0; round < 20_000; round += 1) {
    let bytes = Buffer.from(Array.from({ length: 1 + random.integer(6) }, () => random.pick(alphabet)));
    for (let depth = 0; depth < 3; depth += 1) {
      remember(bytes);
      bytes = Buffer.from(quoteGitPath(bytes));
    }
  }
});
