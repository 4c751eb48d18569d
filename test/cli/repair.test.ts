import { existsSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { parseLines, runCli, runJson } from "./support/run-cli.js";

const test = suite("cli/repair");

/** Three runs of one event, each a segment. */
async function makeStore(): Promise<string> {
  const store = join(temporaryDirectory(), "store");
  for (let number = 1; number <= 3; number++) {
    const input = `{"stream":"s${number}","type":"T","data":${number}}\n`;
    await runJson(["import", "ndjson", "-", "--store", store], { input });
  }
  return store;
}

function damage(store: string): void {
  const core = join(store, "wal/core-000");
  const [, second = ""] = readdirSync(core).sort();
  writeSync(openSync(join(core, second), "r+"), Buffer.alloc(300, 0xff), 0, 300, 4096);
}

test("repair ends as fsck does: 0 for a whole store, 4 where it is left, 1 when repaired, 8 when it cannot work", async () => {
  const store = await makeStore();
  const whole = await runCli(["repair", store]);
  assert.equal([whole.exitCode, whole.stdout], [0, `nothing is wrong with ${store}\n`]);
  damage(store);
  const dry = await runCli(["repair", "--store", store]);
  assert.is(dry.exitCode, 4);
  for (const part of [
    "ERR_WAL_CORRUPT",
    "would keep 2 events up to LSN 3",
    "lost: LSN 2 cannot be read",
    "--yes does it",
  ])
    assert.match(dry.stdout, part);
  const backup = `${store}-backup`;
  const done = await runCli(["repair", store, "--yes", "--backup", backup, "--json"]);
  assert.is(done.exitCode, 1);
  const [report] = parseLines(done.stdout);
  assert.equal([report?.["status"], report?.["lost"], report?.["backup"]], ["repaired", [[2, 2]], backup]);
  assert.ok(existsSync(join(backup, "wal")));
  const [verified] = await runJson(["verify", "--store", store]);
  assert.equal([verified?.["ok"], verified?.["events"]], [true, 2]);
  assert.is((await runCli(["repair", store])).exitCode, 0);
  const absent = await runCli(["repair", join(store, "absent"), "--json"]);
  assert.is(absent.exitCode, 8);
  assert.is((JSON.parse(absent.stderr) as { error: { code: string } }).error.code, "ERR_STORE_NOT_FOUND");
});

test("a copy is not made in the store, nor over anything", async () => {
  const store = await makeStore();
  damage(store);
  const inside = await runCli(["repair", store, "--yes", "--backup", join(store, "copy"), "--json"]);
  assert.equal([inside.exitCode, JSON.parse(inside.stderr).error.code], [2, "ERR_USAGE"]);
  const taken = await runCli(["repair", store, "--yes", "--backup", temporaryDirectory(), "--json"]);
  assert.equal([taken.exitCode, JSON.parse(taken.stderr).error.code], [8, "ERR_STORE_EXISTS"]);
  assert.is((await runCli(["repair", store])).exitCode, 4);
});

test("a store whose manifests are gone is repaired without a loss", async () => {
  const store = await makeStore();
  for (const name of readdirSync(store)) if (name.startsWith("manifest-")) rmSync(join(store, name));
  const done = await runCli(["repair", store, "--yes"]);
  assert.is(done.exitCode, 1);
  assert.match(done.stdout, "nothing is lost");
  assert.match(done.stdout, "kept 3 events up to LSN 3");
  assert.is(parseLines((await runCli(["read", "--json", "--store", store])).stdout).length, 3);
});
