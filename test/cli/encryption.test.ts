import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/encryption");
const EVENT = ["append", "--stream", "hush-stream", "--type", "T", "--data", '"hush-data"'];

function places(): { store: string; one: string; two: string } {
  const directory = temporaryDirectory();
  const [one, two] = [join(directory, "one.key"), join(directory, "two.key")];
  writeFileSync(one, `${"1a".repeat(32)}\n`);
  writeFileSync(two, Buffer.alloc(32, 2));
  return { store: join(directory, "store"), one, two };
}

async function code(parameters: readonly string[]): Promise<unknown> {
  return (await runFailing(parameters)).code;
}

test("every command that opens a store takes its key, from a file or the environment", async () => {
  const { store, one } = places();
  const key = ["--store", store, "--key-file", one];
  process.env["VARVE_TEST_CLI_KEY"] = "1a".repeat(32);
  const fromEnv = ["--store", store, "--key-env", "VARVE_TEST_CLI_KEY"];
  await runJson([...EVENT, ...key]);
  await runJson([...EVENT, ...fromEnv]);
  const backup = join(store, "..", "backup");
  const commands = [
    ["read"],
    ["stats"],
    ["cores"],
    ["graph", "find"],
    ["checkpoint"],
    ["compact"],
    ["backup", backup],
    ["stream", "retain", "hush-stream", "--max-count", "10"],
    ["scavenge"],
    ["verify"],
  ];
  for (const command of commands) {
    assert.is(
      await code([...command, "--store", store]).catch(() => "none"),
      command[0] === "verify" ? "none" : "ERR_KEY_MISSING",
      command[0],
    );
    await runJson([...command, ...key]);
    await runJson([...command, ...fromEnv]);
  }
  delete process.env["VARVE_TEST_CLI_KEY"];
  assert.is(await code(["read", ...fromEnv]), "ERR_KEY_MISSING");
  assert.is(await code(["restore", backup, "--store", `${store}-restored`]), "ERR_KEY_MISSING");
  await runJson(["restore", backup, "--store", `${store}-restored`, "--key-file", one]);
  assert.is((await runJson(["read", "--store", `${store}-restored`, "--key-file", one])).length >= 2, true);
});

test("verify without a key says what it could not check, and finds damage", async () => {
  const { store, one } = places();
  for (let index = 0; index < 3; index++) await runJson([...EVENT, "--store", store, "--key-file", one]);
  const { stdout } = await runCli(["verify", "--store", store]);
  assert.match(stdout, "everything up to LSN 3 is there");
  assert.match(stdout, "not checked, for want of the key (1): authentication tags");
  const [found] = await runJson(["verify", "--store", store]);
  assert.equal([found?.["ok"], found?.["isKeyless"], found?.["lastLsn"]], [true, true, 3]);
  const core = join(store, "wal", "core-000");
  const segment = join(
    core,
    readdirSync(core)
      .filter((name) => name.endsWith(".wal"))
      .sort()[0] as string,
  );
  const bytes = readFileSync(segment);
  bytes[4096 + 200] = (bytes[4096 + 200] as number) ^ 1;
  writeFileSync(segment, bytes);
  assert.is(await code(["verify", "--store", store]), "ERR_WAL_CORRUPT");
});

test("inspect shows frames and blocks that are encrypted as such, and nothing of what is in them", async () => {
  const { store, one } = places();
  await runJson([...EVENT, "--store", store, "--key-file", one]);
  const frames = await runCli(["inspect", "1", "--store", store]);
  assert.match(frames.stdout, "encrypted with key 1: tag not checked");
  await runJson(["checkpoint", "--store", store, "--key-file", one]);
  const [sealed] = readdirSync(join(store, "log"));
  const path = join(store, "log", sealed as string);
  const parts = await runCli(["inspect", path, "--store", store]);
  assert.match(parts.stdout, "encrypted with key 1: runs and tag not checked");
  const json = await runCli(["inspect", path, "--store", store, "--json"]);
  assert.equal([parts.exitCode, json.exitCode, frames.exitCode], [0, 0, 0]);
  for (const { stdout } of [frames, parts, json]) assert.not.ok(stdout.includes("hush"));
});

test("salvage and repair take the key; what salvage writes is in clear, and what repair writes is not", async () => {
  const { store, one, two } = places();
  for (let index = 0; index < 3; index++) await runJson([...EVENT, "--store", store, "--key-file", one]);
  const core = join(store, "wal", "core-000");
  const second = join(core, readdirSync(core).sort()[1] as string);
  const bytes = readFileSync(second);
  bytes[4096 + 200] = (bytes[4096 + 200] as number) ^ 1;
  writeFileSync(second, bytes);
  const out = join(store, "..", "events.ndjson");
  assert.is(await code(["salvage", store, "--out", `${out}-none`]), "ERR_KEY_MISSING");
  assert.is(await code(["salvage", store, "--out", `${out}-wrong`, "--key-file", two]), "ERR_KEY_WRONG");
  for (const key of [[], ["--key-file", two]]) {
    const refused = await runCli(["repair", store, "--yes", "--json", ...key]);
    assert.is(refused.exitCode, 8);
    assert.match(refused.stderr, key.length === 0 ? "ERR_KEY_MISSING" : "ERR_KEY_WRONG");
  }
  const salvaged = await runCli(["salvage", store, "--out", out, "--key-file", one]);
  assert.is(salvaged.exitCode, 4);
  assert.is(readFileSync(out, "utf8").split("hush-data").length, 3);
  const repaired = await runCli(["repair", store, "--yes", "--key-file", one]);
  assert.is(repaired.exitCode, 1, repaired.stderr);
  assert.match(repaired.stdout, "lost: LSN 2 cannot be read");
  for (const name of readdirSync(store, { recursive: true, withFileTypes: true }))
    if (name.isFile()) assert.not.ok(readFileSync(join(name.parentPath, name.name)).includes("hush"), name.name);
  assert.is((await runJson(["read", "--store", store, "--key-file", one])).length, 1);
  assert.is((await runCli(["repair", store, "--key-file", one])).exitCode, 0);
});

test("rekey goes from no key to one, and from one to another", async () => {
  const { store, one, two } = places();
  await runJson([...EVENT, "--store", store]);
  assert.is(await code(["rekey", "--store", store]), "ERR_USAGE");
  const [first] = await runJson(["rekey", "--store", store, "--new-key-file", one]);
  assert.equal([first?.["keyId"], first?.["droppedKeys"]], [1, 0]);
  assert.is(await code(["rekey", "--store", store, "--new-key-file", two]), "ERR_KEY_WRONG");
  const done = await runCli(["rekey", "--store", store, "--key-file", one, "--new-key-file", two]);
  assert.match(done.stdout, "everything is encrypted by key 2");
  assert.is(await code(["read", "--store", store, "--key-file", one]), "ERR_KEY_WRONG");
  const [event] = await runJson(["read", "--store", store, "--key-file", two]);
  assert.is(event?.["data"], "hush-data");
  assert.is(await code(["rekey", "--store", `${store}-none`, "--new-key-file", two]), "ERR_STORE_NOT_FOUND");
});

test("bench append --encrypted measures both, and reads both back", async () => {
  const directory = temporaryDirectory();
  const arguments_ = ["--encrypted", "--events", "200", "--concurrency", "10", "--pairs", "1", "--dir", directory];
  const [result] = await runJson(["bench", "append", ...arguments_]);
  assert.is(result?.["fault"], null);
  assert.is((result?.["pairs"] as unknown[] | undefined)?.length, 1);
  assert.ok((result?.["ratio"] as number) > 0);
  assert.equal(readdirSync(directory), []);
  assert.is(await code(["bench", "append", "--encrypted", "--writers", "2", "--dir", directory]), "ERR_USAGE");
});
