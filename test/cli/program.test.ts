import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { COMMANDS } from "../../src/cli/commands/index.js";
import { assert } from "../support/assert.js";
import { readProjectFile } from "../support/source-file.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { CLI_PATH, parseLines, runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/program");

const PATHS = [
  "demo",
  "import git",
  "import ndjson",
  "append",
  "read",
  "graph find",
  "graph node",
  "graph neighbors",
  "graph history",
  "graph diff",
  "graph match",
  "graph degree",
  "graph traverse",
  "graph path",
  "graph subgraph",
  "graph components",
  "graph rank",
  "graph version",
  "graph changes",
  "graph overlaps",
  "graph lineage",
  "graph lsn",
  "graph export",
  "graph snapshot name",
  "graph snapshot list",
  "graph snapshot remove",
  "graph purge",
  "projection list",
  "projection status",
  "projection rebuild",
  "projection pause",
  "projection resume",
  "checkpoint",
  "compact",
  "backup",
  "restore",
  "forget",
  "rekey",
  "stream truncate",
  "stream delete",
  "stream tombstone",
  "stream retain",
  "scavenge",
  "truncate",
  "rekey",
  "repair",
  "salvage",
  "verify",
  "anchor",
  "repair",
  "salvage",
  "stats",
  "inspect",
  "cores",
  "doctor",
  "bench append",
  "bench recover",
  "bench follow",
  "bench replay",
  "bench graph",
  "bench open",
  "bench merge",
];

test("every command has help that names its options, and takes --store and --json", async () => {
  const helps = await Promise.all(PATHS.map((path) => runCli([...path.split(" "), "--help"])));
  for (const [index, help] of helps.entries()) {
    assert.is(help.exitCode, 0, PATHS[index]);
    assert.match(help.stdout, `Usage: varve ${PATHS[index]}`);
    assert.match(help.stdout, "--store <dir>");
    assert.match(help.stdout, "--json");
    assert.is(help.stderr, "");
  }
  const whole = await runCli(["--help"]);
  for (const path of PATHS) assert.match(whole.stdout, path.split(" ")[0] ?? "");
  assert.is(COMMANDS.length, new Set(PATHS.map((path) => path.split(" ")[0])).size);
});

test("prints the package's version", async () => {
  const { version } = JSON.parse(readProjectFile("package.json") ?? "{}") as { version: string };
  assert.is((await runCli(["--version"])).stdout, `${version}\n`);
});

test("a command line that makes no sense is one line on stderr and exit code 2", async () => {
  const wrong = [
    ["nonsense"],
    ["read", "--nonsense"],
    ["read", "extra"],
    ["read", "--limit", "-1"],
    ["read", "--limit", "1.5"],
    ["read", "--after", "many"],
    ["read", "--follow", "--backwards"],
    ["append", "--type", "A"],
    ["append", "--stream", "s", "--type", "A", "--data", "{"],
    ["append", "--stream", "s", "--type", "A", "--metadata", "[]"],
    ["append", "--stream", "s", "--type", "A", "--durability", "maybe"],
    ["append", "--stream", "s", "--type", "A", "--expected-version", "new"],
    ["append", "--stream", "s", "--data", "1"],
    ["append", "--stream", "s"],
    ["import", "git"],
    ["import", "git", ".", "--durability", "async"],
  ];
  const cwd = temporaryDirectory();
  const runs = await Promise.all(wrong.map((parameters) => runCli(parameters, { cwd })));
  for (const [index, { exitCode, stdout, stderr }] of runs.entries()) {
    assert.is(exitCode, 2, wrong[index]?.join(" "));
    assert.is(stdout, "");
    assert.match(stderr, /^varve: ERR_USAGE: [^\n]+\n$/, wrong[index]?.join(" "));
  }
  assert.equal(readdirSync(cwd), [], "nothing was written");
  const failure = await runFailing(["read", "--nonsense"]);
  assert.is(failure.code, "ERR_USAGE");
  assert.match(failure.message, "--nonsense");
});

test("a command without its subcommand shows the help on stderr and fails", async () => {
  for (const parameters of [[], ["import"], ["graph"], ["bench"]]) {
    const run = await runCli(parameters);
    assert.is(run.exitCode, 1);
    assert.is(run.stdout, "");
    assert.match(run.stderr, "Usage: varve");
  }
});

test("a store that is not there is an error for whoever only reads, and is not made", async () => {
  const directory = join(temporaryDirectory(), "missing");
  for (const parameters of [["read"], ["stats"], ["verify"], ["graph", "find", "--label", "File"], ["inspect", "1"]]) {
    const failure = await runFailing([...parameters, "--store", directory]);
    assert.is(failure.code, "ERR_STORE_NOT_FOUND", parameters.join(" "));
    assert.is(failure.exitCode, 1);
  }
  assert.equal(readdirSync(join(directory, "..")), []);
});

test("what the system refuses is a coded error with the system's own words", async () => {
  const directory = temporaryDirectory();
  for (const parameters of [
    ["inspect", directory],
    ["append", "--stream", "s", "--type", "A", "--store", "/dev/null/varve"],
  ]) {
    const failure = await runFailing(parameters);
    assert.is(failure.code, "ERR_IO_FAILED");
    assert.match(failure.message, /\bE[A-Z]+: /);
  }
});

test("a graph event that makes no sense is a usage error", async () => {
  const store = join(temporaryDirectory(), "store");
  const parameters = ["append", "--stream", "s", "--type", "varve.v1.NodeCreated", "--data", "{}", "--store", store];
  assert.is((await runFailing(parameters)).code, "ERR_USAGE");
});

test("takes the store from VARVE_STORE, and from ./varve-data where nothing is said", async () => {
  const cwd = temporaryDirectory();
  mkdirSync(join(cwd, "elsewhere"));
  const append = ["append", "--stream", "s", "--type", "A"];
  await runJson(append, { cwd });
  await runJson(append, { cwd, environment: { VARVE_STORE: "elsewhere" } });
  assert.equal(readdirSync(cwd).sort(), ["elsewhere", "varve-data"]);
  const [event] = await runJson(["read"], { cwd });
  assert.is(event?.["version"], 1);
});

test("a reader that goes away ends a long list quietly", async () => {
  const store = join(temporaryDirectory(), "store");
  const input = Array.from({ length: 20_000 }, (_, index) => `{"stream":"s","type":"A","data":${index}}\n`).join("");
  await runJson(["import", "ndjson", "-", "--store", store], { input });
  for (const json of ["", "--json"]) {
    const script = `${process.execPath} ${CLI_PATH} read --store ${store} ${json} | head -n 2; echo "\${PIPESTATUS[0]}"`;
    const run = spawnSync("bash", ["-c", script], { encoding: "utf8" });
    assert.is(run.stderr, "");
    assert.is(run.stdout.trim().split("\n").length, 3);
    assert.is(run.stdout.trim().split("\n").at(-1), "0");
  }
});

test("with --json a list is one object per line and nothing else", async () => {
  const store = join(temporaryDirectory(), "store");
  await runJson(["append", "--stream", "s", "--store", store], { input: '{"type":"A"}\n{"type":"B"}\n' });
  const run = await runCli(["read", "--json", "--store", store]);
  assert.is(run.stdout.split("\n").length, 3);
  assert.equal(
    parseLines(run.stdout).map((event) => event["type"]),
    ["A", "B"],
  );
  assert.is(run.stderr, "");
});
