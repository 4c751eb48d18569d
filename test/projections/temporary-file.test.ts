/** Files that are put in place: by several writers at once, where a writer dies, and what is taken for a leftover. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isTemporary, putFile, removeAbandoned } from "../../src/projections/temporary-file.js";
import { assert, rejects } from "../support/assert.js";
import { spoilFiles } from "../support/failing-files.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("projections/temporary-file");

const PUTTER = fileURLToPath(new URL("./children/putting-process.js", import.meta.url));

const leftIn = (directory: string): string[] => readdirSync(directory).filter(isTemporary);
const text = (content: string) => (handle: { writeFile(data: string): Promise<void> }) => handle.writeFile(content);

test("writers of one place at the same moment all succeed, and the file is one of theirs, whole", async () => {
  const directory = join(temporaryDirectory(), "made", "here");
  const place = join(directory, "state");
  const contents = Array.from({ length: 32 }, (_, index) => `${index}`.repeat(5000));
  await Promise.all(contents.map((content) => putFile(place, text(content))));
  assert.ok(contents.includes(readFileSync(place, "utf8")));
  assert.equal(readdirSync(directory), ["state"]);
});

test("processes that put one file while others sweep it never fail", async () => {
  const directory = temporaryDirectory();
  const place = join(directory, "state");
  const putters = ["a", "b"].map((letter) => spawn(process.execPath, [PUTTER, place, letter, "200"]));
  let running = putters.length;
  const codes = Promise.all(
    putters.map(async (putter) => {
      const [code] = await once(putter, "close");
      running -= 1;
      return code as number;
    }),
  );
  // A sweep that comes between a file's creation and its lock takes it for a leftover; its maker notices.
  while (running > 0) {
    await removeAbandoned(leftIn(directory).map((name) => join(directory, name)));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(await codes, [0, 0]);
  assert.match(readFileSync(place, "utf8"), /^(a{9999}|b{9999})$/);
  await removeAbandoned(leftIn(directory).map((name) => join(directory, name)));
  assert.equal(readdirSync(directory), ["state"]);
});

test("what a killed writer left is removed, and what a living one writes is not", async () => {
  const directory = temporaryDirectory();
  const place = join(directory, "state");
  const putter = spawn(process.execPath, [PUTTER, place, "a"], { stdio: ["ignore", "pipe", "inherit"] });
  await once(putter.stdout, "data");
  let isWriting = (): void => undefined;
  const writing = new Promise<void>((resolve) => {
    isWriting = resolve;
  });
  let goOn = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const own = putFile(place, async (handle) => {
    isWriting();
    await held;
    await handle.writeFile("mine");
  });
  await writing;
  assert.is(leftIn(directory).length, 2);
  const all = (): string[] => leftIn(directory).map((name) => join(directory, name));
  assert.equal(await removeAbandoned(all()), []);
  putter.kill("SIGKILL");
  await once(putter, "close");
  assert.is((await removeAbandoned(all())).length, 1);
  assert.is(leftIn(directory).length, 1);
  goOn();
  await own;
  assert.is(readFileSync(place, "utf8"), "mine");
  assert.equal(readdirSync(directory), ["state"]);
});

test("a write that fails leaves the former file and nothing of its own", async () => {
  const directory = temporaryDirectory();
  const place = join(directory, "state");
  await putFile(place, text("before"));
  const own = new Error("mine");
  await rejects(
    putFile(place, async (handle) => {
      await handle.writeFile("half");
      throw own;
    }),
    (error) => error === own,
  );
  const mend = await spoilFiles("/state.", "sync", "EIO");
  await rejects(putFile(place, text("after")), (error) => (error as NodeJS.ErrnoException).code === "EIO");
  mend();
  // Nor where the name cannot be taken.
  mkdirSync(join(directory, "folder", "full"), { recursive: true });
  await rejects(putFile(join(directory, "folder"), text("after")), (error) => error instanceof Error);
  assert.equal(readdirSync(directory), ["folder", "state"]);
  assert.is(readFileSync(place, "utf8"), "before");
});

test("a leftover that somebody else has removed meanwhile is none", async () => {
  const directory = temporaryDirectory();
  const files = ["state.0.tmp", "state.1.tmp"].map((name) => join(directory, name));
  writeFileSync(files[0] as string, "half");
  assert.equal(await removeAbandoned(files), files);
  assert.equal(readdirSync(directory), []);
});
