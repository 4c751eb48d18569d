import { existsSync, openSync, readdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { parseLines, runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/backup, restore and inspect");

async function addEvents(store: string, from: number, count: number): Promise<void> {
  const line = (number: number): string => `{"stream":"s-${number % 4}","type":"T","data":"number ${number}"}\n`;
  const input = Array.from({ length: count }, (_, index) => line(from + index)).join("");
  await runJson(["import", "ndjson", "-", "--store", store], { input });
}

async function dataIn(store: string): Promise<unknown[]> {
  return (await runJson(["read", "--store", store])).map((event) => event["data"]);
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, number) => `number ${number}`);
}

function places(): { store: string; backup: string; restored: string } {
  const directory = temporaryDirectory();
  return {
    store: join(directory, "store"),
    backup: join(directory, "backup"),
    restored: join(directory, "restored"),
  };
}

test("a backup is made, brought up to date, verified and restored", async () => {
  const { store, backup, restored } = places();
  await addEvents(store, 0, 30);
  const [first] = await runJson(["backup", backup, "--store", store]);
  assert.equal([first?.["lsn"], first?.["segments"], first?.["copiedSegments"]], [30, 1, 1]);
  const [second] = await runJson(["backup", backup, "--store", store]);
  assert.equal([second?.["lsn"], second?.["copiedSegments"]], [30, 0]);
  await addEvents(store, 30, 10);
  assert.match((await runCli(["backup", backup, "--store", store])).stdout, "up to LSN 40");
  const [verified] = await runJson(["verify", "--store", backup]);
  assert.equal([verified?.["ok"], verified?.["events"], verified?.["streams"]], [true, 40, 4]);
  assert.equal(await dataIn(backup), numbers(40));
  const [report] = await runJson(["restore", backup, "--store", restored]);
  assert.equal([report?.["lsn"], report?.["isDryRun"]], [40, false]);
  assert.is((await runJson(["verify", "--store", restored]))[0]?.["events"], 40);
  await addEvents(restored, 40, 5);
  assert.equal(await dataIn(restored), numbers(45));
});

test("restore takes an LSN or a time, and a dry run writes nothing", async () => {
  const { store, backup, restored } = places();
  await addEvents(store, 0, 10);
  await runJson(["backup", backup, "--store", store]);
  await addEvents(store, 10, 10);
  await runJson(["backup", backup, "--store", store]);
  const [plan] = await runJson(["restore", backup, "--store", restored, "--to-lsn", "10", "--dry-run"]);
  const { restored: kept, leftOut } = plan as { restored: Record<string, number>; leftOut: Record<string, number> };
  assert.equal([kept["events"], kept["lastLsn"], leftOut["events"], leftOut["firstLsn"]], [10, 10, 10, 11]);
  assert.not.ok(existsSync(restored));
  const said = (await runCli(["restore", backup, "--store", restored, "--to-lsn", "10", "--dry-run"])).stdout;
  assert.match(said, "would leave out");
  const time = String(kept["lastRecordedAt"]);
  const [report] = await runJson(["restore", backup, "--store", restored, "--to-time", time]);
  assert.is(report?.["lsn"], 10);
  assert.equal(await dataIn(restored), numbers(10));
});

test("what cannot be done is refused by its code", async () => {
  const { store, backup, restored } = places();
  await addEvents(store, 0, 10);
  assert.is((await runFailing(["backup", backup, "--store", join(store, "nowhere")])).code, "ERR_STORE_NOT_FOUND");
  assert.is((await runFailing(["backup", store, "--store", store])).code, "ERR_STORE_EXISTS");
  assert.is((await runFailing(["restore", backup, "--store", restored])).code, "ERR_BACKUP_NOT_FOUND");
  await runJson(["backup", backup, "--store", store]);
  assert.is((await runFailing(["restore", backup, "--store", store])).code, "ERR_STORE_EXISTS");
  assert.is((await runFailing(["restore", backup, "--store", restored, "--to-lsn", "11"])).code, "ERR_BACKUP_RANGE");
  const both = ["restore", backup, "--store", restored, "--to-lsn", "1", "--to-time", "1"];
  assert.is((await runFailing(both)).code, "ERR_USAGE");
  assert.not.ok(existsSync(restored));
});

test("a backup that is damaged is found by verify and by restore", async () => {
  const { store, backup, restored } = places();
  await addEvents(store, 0, 200);
  await runJson(["backup", backup, "--store", store]);
  const path = join(backup, "log", "0000000001.seal");
  writeSync(openSync(path, "r+"), "damage", 4_300);
  for (const command of [
    ["verify", "--store", backup],
    ["restore", backup, "--store", restored],
  ]) {
    const failure = await runFailing(command);
    assert.equal([failure.code, (failure["details"] as Record<string, unknown>)["path"]], ["ERR_WAL_CORRUPT", path]);
  }
  const shown = await runCli(["inspect", path, "--json"]);
  assert.is(shown.exitCode, 1);
  const damaged = parseLines(shown.stdout).filter(
    ({ kind, damage }) => kind === "damaged" || typeof damage === "string",
  );
  assert.is(damaged[0]?.["fileOffset"], 4_096);
  assert.match((await runCli(["inspect", path])).stdout, "DAMAGED");
});

test("inspect shows a sealed segment, and the segments of any core", async () => {
  const { store, backup } = places();
  await addEvents(store, 0, 20);
  const [name = ""] = readdirSync(join(store, "wal", "core-000")).filter((file) => file.endsWith(".wal"));
  const number = String(Number.parseInt(name, 10));
  const bySlot = await runJson(["inspect", number, "--core", "0", "--store", store]);
  assert.equal(bySlot, await runJson(["inspect", join(store, "wal", "core-000", name)]));
  assert.is((await runFailing(["inspect", number, "--core", "7", "--store", store])).code, "ERR_STORE_NOT_FOUND");
  await runJson(["backup", backup, "--store", store]);
  const parts = await runJson(["inspect", join(backup, "log", "0000000001.seal")]);
  const runs = parts.filter(({ kind }) => kind === "run").map(({ run }) => run as Record<string, number>);
  assert.is(
    runs.reduce((sum, run) => sum + (run["recordCount"] ?? 0), 0),
    20,
  );
  const kinds = new Set(parts.map(({ kind }) => kind));
  for (const kind of ["sealed-preamble", "block", "run", "page", "name-filter", "lsn-root", "trailer"]) {
    assert.ok(kinds.has(kind), kind);
  }
  const text = (await runCli(["inspect", join(backup, "log", "0000000001.seal")])).stdout;
  assert.match(text, /trailer +LSN 1…20, 20 records of 4 streams/);
});

test("a signal ends a backup and a restore, and doing it again completes them", async () => {
  const { store, backup, restored } = places();
  await addEvents(store, 0, 2_000);
  const signals = ["SIGTERM", "SIGKILL"] as const;
  for (const signal of signals) {
    const kill = { onStart: (child: { pid?: number | undefined }) => setTimeout(() => stop(child.pid, signal), 300) };
    await runCli(["backup", backup, "--store", store], kill);
    await runCli(["restore", backup, "--store", `${restored}-${signal}`], kill);
  }
  assert.is((await runJson(["backup", backup, "--store", store]))[0]?.["lsn"], 2_000);
  for (const signal of signals) {
    const target = `${restored}-${signal}`;
    const run = await runCli(["restore", backup, "--store", target, "--json"]);
    if (run.exitCode !== 0) assert.match(run.stderr, "ERR_STORE_EXISTS");
    assert.is((await runJson(["verify", "--store", target]))[0]?.["events"], 2_000);
  }
});

function stop(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(pid, signal);
  } catch {
    // it has ended
  }
}
