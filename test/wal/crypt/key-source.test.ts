import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkKeySource, type KeySource, loadKey } from "../../../src/wal/crypt/key-source.js";
import { assert, rejects } from "../../support/assert.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

const test = suite("wal/crypt/key-source");
const KEY = Buffer.from(Array.from({ length: 32 }, (_, at) => at * 7 + 1));
const HEX = KEY.toString("hex");

async function loaded(source: KeySource): Promise<Buffer> {
  const [target, scratch] = [Buffer.alloc(32), Buffer.alloc(128)];
  await loadKey(source, () => ({ target, scratch }));
  assert.ok(
    scratch.every((byte) => byte === 0),
    "its text is zeroed",
  );
  return target;
}

function file(content: Buffer | string): KeySource {
  const path = join(temporaryDirectory(), "key");
  writeFileSync(path, content);
  return { file: path };
}

test("a file of 32 bytes, or of 64 digits with or without the end of a line", async () => {
  for (const content of [KEY, HEX, HEX.toUpperCase(), `${HEX}\n`, `${HEX}\r\n`]) {
    assert.ok((await loaded(file(content))).equals(KEY));
  }
});

test("a file that holds anything else is no key, and leaves none behind", async () => {
  for (const content of [
    "",
    "x",
    KEY.subarray(1),
    HEX.slice(1),
    `${HEX}0`,
    `${HEX}\n\n\n`,
    HEX.replace("1", "g"),
    "0".repeat(5000),
  ]) {
    const target = Buffer.alloc(32, 1);
    const error = await rejects(
      loadKey(file(content), () => ({ target, scratch: Buffer.alloc(128) })),
      "ERR_KEY_WRONG",
    );
    assert.not.match(error.message, HEX.slice(2, 20));
    assert.ok(target.every((byte) => byte === 0));
  }
});

test("a file that is not there, and a directory", async () => {
  await rejects(loaded({ file: join(temporaryDirectory(), "none") }), "ERR_KEY_MISSING");
  await rejects(loaded({ file: temporaryDirectory() }), "ERR_KEY_MISSING");
});

test("the environment", async () => {
  process.env["VARVE_TEST_KEY"] = HEX;
  assert.ok((await loaded({ env: "VARVE_TEST_KEY" })).equals(KEY));
  process.env["VARVE_TEST_KEY"] = HEX.slice(2);
  await rejects(loaded({ env: "VARVE_TEST_KEY" }), "ERR_KEY_WRONG");
  process.env["VARVE_TEST_KEY"] = "0".repeat(1000);
  await rejects(loaded({ env: "VARVE_TEST_KEY" }), "ERR_KEY_WRONG");
  delete process.env["VARVE_TEST_KEY"];
  await rejects(loaded({ env: "VARVE_TEST_KEY" }), "ERR_KEY_MISSING");
});

test("a function, or one that promises, whose array is zeroed", async () => {
  const given = [Buffer.from(KEY), Uint8Array.from(KEY)] as const;
  assert.ok((await loaded(() => given[0])).equals(KEY));
  assert.ok((await loaded(async () => given[1])).equals(KEY));
  for (const bytes of given) assert.ok(bytes.every((byte) => byte === 0));
});

test("a function that fails, or gives something else", async () => {
  const failing = (): never => {
    throw new Error("the key service is down");
  };
  const error = await rejects(loaded(failing), "ERR_KEY_MISSING");
  assert.match((error.cause as Error).message, "the key service is down");
  await rejects(
    loaded(() => Promise.reject(new Error("down"))),
    "ERR_KEY_MISSING",
  );
  const short = Buffer.alloc(31, 1);
  await rejects(
    loaded(() => short),
    "ERR_KEY_WRONG",
  );
  assert.ok(short.every((byte) => byte === 0));
  await rejects(
    loaded(() => HEX as never),
    (thrown) => thrown instanceof TypeError,
  );
});

test("what is no source is refused by the option's name", () => {
  for (const source of [null, 1, "key", {}, { file: "" }, { env: 1 }, { file: "a", env: "b" }, { path: "a" }]) {
    assert.throws(() => checkKeySource(source, "encryption.key"), /encryption\.key/);
  }
});
