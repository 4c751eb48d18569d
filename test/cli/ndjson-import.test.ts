import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { importNdjson, type NdjsonStore } from "../../src/cli/ndjson-import.js";
import { openStore } from "../../src/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { CLI_PATH, parseLines, runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/ndjson-import");

const newStore = () => join(temporaryDirectory(), "store");
const lineOf = (index: number) => `{"stream":"s${index % 3}","type":"T","data":${index}}\n`;
const linesOf = (count: number) => Array.from({ length: count }, (_, index) => lineOf(index)).join("");

async function dataIn(store: string): Promise<unknown[]> {
  return (await runJson(["read", "--store", store])).map((event) => event["data"]);
}

test("appends the lines of a file or of stdin in their order", async () => {
  const directory = temporaryDirectory();
  const file = join(directory, "events.ndjson");
  writeFileSync(file, linesOf(2_500));
  const [result] = await runJson(["import", "ndjson", file, "--store", join(directory, "a")]);
  assert.equal([result?.["events"], result?.["lsn"], result?.["interrupted"]], [2_500, 2_500, false]);
  const expected = Array.from({ length: 2_500 }, (_, index) => index);
  assert.equal(await dataIn(join(directory, "a")), expected);
  await runJson(["import", "ndjson", "-", "--store", join(directory, "b"), "--durability", "async"], {
    input: linesOf(2_500),
  });
  assert.equal(await dataIn(join(directory, "b")), expected);
});

test("a bad line is named, every line before it is in, and none after it", async () => {
  const directory = temporaryDirectory();
  const schema = join(directory, "t.proto");
  writeFileSync(schema, 'syntax = "proto3"; message Typed { int32 n = 1; }');
  const bad: readonly (readonly [string, string])[] = [
    ["{", "ERR_IMPORT_SOURCE"],
    ["[]", "ERR_IMPORT_SOURCE"],
    ['{"type":"T"}', "ERR_IMPORT_SOURCE"],
    ['{"stream":"s"}', "ERR_IMPORT_SOURCE"],
    ['{"stream":"s","type":"T","meta":{}}', "ERR_IMPORT_SOURCE"],
    ['{"stream":"s","type":"T","metadata":[]}', "ERR_IMPORT_SOURCE"],
    ['{"stream":"s","type":"T","id":5}', "ERR_IMPORT_SOURCE"],
    ['{"stream":"","type":"T"}', "ERR_EVENTS_INVALID_STREAM"],
    ['{"stream":"s","type":""}', "ERR_EVENTS_INVALID_EVENT"],
    ['{"stream":"\\ud800","type":"T"}', "ERR_EVENTS_INVALID_STREAM"],
    ['{"stream":"s","type":"Typed","data":{"m":1}}', "ERR_EVENTS_SCHEMA"],
    ['{"stream":"s","type":"varve.v1.NodeCreated","data":{}}', "ERR_IMPORT_SOURCE"],
  ];
  for (const [line, code] of bad) {
    const store = newStore();
    const input = `${linesOf(700)}\n${line}\n${linesOf(700)}`;
    const failure = await runFailing(["import", "ndjson", "-", "--store", store, "--schema", schema], { input });
    assert.is(failure.code, code, line);
    assert.match(failure.message, "line 702", line);
    assert.is((failure["details"] as { line: number }).line, 702);
    assert.is((await dataIn(store)).length, 700, line);
  }
});

test("an event that is too large for one append is named", async () => {
  const store = newStore();
  const input = `${linesOf(3)}{"stream":"s","type":"T","data":"${"x".repeat(40_000_000)}"}\n`;
  const failure = await runFailing(["import", "ndjson", "-", "--store", store], { input });
  assert.match(String(failure.code), /^ERR_(WAL|EVENTS)_TOO_LARGE$/);
  assert.match(failure.message, "line 4");
  assert.is((await dataIn(store)).length, 3);
});

test("names such as __proto__ are data", async () => {
  const store = newStore();
  const input = '{"stream":"__proto__","type":"constructor","data":{"__proto__":[1]},"metadata":{"__proto__":2}}\n';
  await runJson(["import", "ndjson", "-", "--store", store], { input });
  const { stdout } = await runCli(["read", "--json", "--store", store, "--stream", "__proto__"]);
  assert.match(stdout, '"data":{"__proto__":[1]},"metadata":{"__proto__":2}');
});

test("a file that cannot be read leaves no store behind", async () => {
  const store = newStore();
  const failure = await runFailing(["import", "ndjson", join(store, "missing"), "--store", store]);
  assert.is(failure.code, "ERR_IMPORT_SOURCE");
  assert.not.ok(existsSync(store));
});

test("interrupted, it stops after what it has started, with exit code 130", async () => {
  const store = newStore();
  const child = spawn(process.execPath, [CLI_PATH, "import", "ndjson", "-", "--json", "--store", store]);
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stdin.on("error", () => {});
  const feeding = setInterval(() => child.stdin.write(linesOf(300)), 2);
  while (!existsSync(join(store, "wal"))) await new Promise((resolve) => setTimeout(resolve, 5));
  child.kill("SIGINT");
  const exitCode = await new Promise((resolve) => child.on("close", resolve));
  clearInterval(feeding);
  assert.is(exitCode, 130);
  const [result] = parseLines(stdout);
  assert.is(result?.["interrupted"], true);
  assert.is((await dataIn(store)).length, result?.["events"]);
});

test("a failing store ends it with the line at which it failed", async () => {
  const real = await openStore(newStore());
  let count = 0;
  const store: NdjsonStore = {
    append: async (stream, event, options) => {
      count += 1;
      if (count === 5) throw new TypeError("no");
      return real.append(stream, event, options);
    },
  };
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(linesOf(10));
  }
  const options = { durability: "group", signal: new AbortController().signal } as const;
  const error = await rejects(importNdjson(store, chunks(), options), "ERR_IMPORT_SOURCE");
  assert.match(error.message, "line 5");
  await real.close();
});
