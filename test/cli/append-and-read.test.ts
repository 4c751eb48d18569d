import { spawn } from "node:child_process";
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openStore } from "../../src/index.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { CLI_PATH, parseLines, runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/append and read");

const newStore = () => join(temporaryDirectory(), "store");

async function appendLetters(store: string, stream: string, letters: string): Promise<void> {
  const input = [...letters].map((letter) => `{"type":"${letter}"}\n`).join("");
  await runJson(["append", "--stream", stream, "--store", store], { input });
}

function filesOf(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .sort()
    .map((path) => {
      const { size, mtimeMs } = statSync(join(directory, path));
      return `${path} ${size} ${mtimeMs}`;
    });
}

test("appends an event and prints where it is; reads it back", async () => {
  const store = newStore();
  const parameters = ["append", "--store", store, "--stream", "account-42", "--type", "Deposited"];
  const [done] = await runJson([
    ...parameters,
    ...["--data", '{"cents":500,"__proto__":{"x":1}}', "--metadata", '{"by":"ann"}', "--id", "d-1"],
  ]);
  assert.equal(done, { stream: "account-42", events: 1, version: 1, lsn: 1, created: true, duplicate: false });
  const run = await runCli(["read", "--json", "--store", store]);
  const { recordedAt, ...event } = parseLines(run.stdout)[0] ?? {};
  assert.ok(Number.isSafeInteger(recordedAt) && Math.abs(Date.now() * 1_000 - Number(recordedAt)) < 60_000_000);
  assert.match(run.stdout, '"data":{"cents":500,"__proto__":{"x":1}}');
  assert.equal(Object.keys(event), ["id", "type", "data", "metadata", "stream", "version", "lsn"]);
  assert.equal([event["id"], event["type"], event["metadata"]], ["d-1", "Deposited", { by: "ann" }]);
});

test("events on stdin are one append, all or none", async () => {
  const store = newStore();
  const [done] = await runJson(["append", "--store", store, "--stream", "s", "--expected-version", "absent"], {
    input: '{"type":"A","data":1}\n{"type":"B","stream":"s","metadata":{"m":1},"id":"b"}\n',
  });
  assert.is(done?.["version"], 2);
  for (const input of [
    '{"type":"C"}\n{"type":5}\n',
    '{"type":"C"}\n{"type":"D","stream":"t"}\n',
    '{"type":"C"}\n{"type":"D"',
  ]) {
    const failure = await runFailing(["append", "--store", store, "--stream", "s"], { input });
    assert.is(failure.code, "ERR_IMPORT_SOURCE");
    assert.match(failure.message, "line 2");
  }
  assert.is((await runFailing(["append", "--store", store, "--stream", "s"], { input: "" })).code, "ERR_USAGE");
  assert.is((await runJson(["read", "--store", store])).length, 2);
});

test("a wrong expected version is a coded error with the numbers, and nothing is written", async () => {
  const store = newStore();
  await appendLetters(store, "s", "AB");
  const failure = await runFailing([
    "append",
    "--store",
    store,
    "--stream",
    "s",
    "--type",
    "C",
    "--expected-version",
    "1",
  ]);
  assert.is(failure.code, "ERR_EVENTS_VERSION_CONFLICT");
  assert.equal(failure["details"], { stream: "s", expected: 1, actual: 2 });
  assert.is((await runJson(["read", "--store", store])).length, 2);
});

test("reads by stream, from an LSN, so many, and backwards", async () => {
  const store = newStore();
  await appendLetters(store, "s", "ABC");
  await appendLetters(store, "t", "DE");
  await appendLetters(store, "s", "FG");
  const types = async (...parameters: string[]) =>
    (await runJson(["read", "--store", store, ...parameters])).map((event) => event["type"]).join("");
  assert.equal(
    await Promise.all([
      types(),
      types("--limit", "0"),
      types("--limit", "2"),
      types("--after", "3"),
      types("--after", "7"),
      types("--after", "99"),
      types("--backwards"),
      types("--backwards", "--limit", "3"),
      types("--backwards", "--after", "4"),
      types("--stream", "s"),
      types("--stream", "s", "--after", "2", "--limit", "2"),
      types("--stream", "s", "--backwards", "--after", "1"),
      types("--stream", "t", "--backwards", "--limit", "1"),
      types("--stream", "none"),
    ]),
    ["ABCDEFG", "", "AB", "DEFG", "", "", "GFEDCBA", "GFE", "GFE", "ABCFG", "CF", "GFCB", "E", ""],
  );
});

test("what read prints can be imported elsewhere", async () => {
  const [from, to] = [newStore(), newStore()];
  await appendLetters(from, "s", "AB");
  await appendLetters(from, "t", "C");
  const { stdout } = await runCli(["read", "--json", "--store", from]);
  await runJson(["import", "ndjson", "-", "--store", to], { input: stdout });
  const strip = ({ recordedAt: _, ...event }: Record<string, unknown>) => event;
  const events = (await runJson(["read", "--store", to])).map(strip);
  assert.equal(events, parseLines(stdout).map(strip));
});

test("a registered type is checked and stored as that type, and read back with its schema", async () => {
  const directory = temporaryDirectory();
  const schema = join(directory, "bank.proto");
  writeFileSync(schema, 'syntax = "proto3"; package bank; message Deposited { int64 cents = 1; bytes proof = 2; }');
  const store = join(directory, "store");
  const append = [
    "append",
    "--store",
    store,
    "--schema",
    schema,
    "--stream",
    "s",
    "--type",
    "bank.Deposited",
    "--data",
  ];
  await runJson([...append, '{"cents":5}']);
  assert.is((await runFailing([...append, '{"euros":5}'])).code, "ERR_EVENTS_SCHEMA");
  const [known] = await runJson(["read", "--store", store, "--schema", schema]);
  assert.equal(known?.["data"], { cents: 5, proof: "" });
  const [unknown] = await runJson(["read", "--store", store]);
  assert.is(unknown?.["payload"], "CAU=");
  const [verified] = await runJson(["verify", "--store", store]);
  assert.equal(verified?.["undecodedTypes"], ["bank.Deposited"]);
  const [again] = await runJson(["verify", "--store", store, "--schema", schema]);
  assert.equal(again?.["undecodedTypes"], []);
});

test("follows what other processes append, until it is interrupted", async () => {
  const store = newStore();
  await appendLetters(store, "s", "AB");
  const child = spawn(process.execPath, [CLI_PATH, "read", "--follow", "--json", "--after", "1", "--store", store]);
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  const seen = async (type: string): Promise<void> => {
    while (!stdout.includes(`"type":"${type}"`)) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  await seen("B");
  await appendLetters(store, "s", "CD");
  await seen("D");
  child.kill("SIGINT");
  const exitCode = await new Promise((resolve) => child.on("close", resolve));
  assert.is(exitCode, 0);
  assert.equal(
    parseLines(stdout).map((event) => event["type"]),
    ["B", "C", "D"],
  );
});

test("a store that is open elsewhere is written beside its owner, unless that one wants it alone, and read in any case", async () => {
  const store = newStore();
  await appendLetters(store, "s", "A");
  const company = await openStore(store);
  await appendLetters(store, "s", "B");
  assert.is(await company.streamVersion("s"), 2);
  await company.close();
  const owner = await openStore(store, { exclusive: true });
  try {
    const failure = await runFailing(["append", "--store", store, "--stream", "s", "--type", "B"]);
    assert.is(failure.code, "ERR_STORE_LOCKED");
    assert.is((await runJson(["read", "--store", store])).length, 2);
  } finally {
    await owner.close();
  }
});

test("commands that only read write nothing", async () => {
  const store = newStore();
  await appendLetters(store, "s", "ABC");
  const before = filesOf(store);
  for (const parameters of [["read"], ["stats"], ["verify"], ["inspect", "1"], ["graph", "find", "--label", "File"]])
    await runJson([...parameters, "--store", store]);
  assert.equal(filesOf(store), before);
});
