import { existsSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { parseLines, runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/salvage");

async function makeStore(): Promise<{ store: string; base: string }> {
  const base = temporaryDirectory();
  const store = join(base, "store");
  for (let number = 1; number <= 3; number++) {
    const input = `{"stream":"s","type":"T","data":${number}}\n`;
    await runJson(["import", "ndjson", "-", "--store", store], { input });
  }
  return { store, base };
}

test("salvage writes what read prints, and the lines can be imported into a new store", async () => {
  const { store, base } = await makeStore();
  const out = join(base, "events.ndjson");
  const [report] = await runJson(["salvage", store, "--out", out]);
  assert.equal([report?.["events"], report?.["lostLsns"], report?.["out"]], [3, 0, out]);
  const read = (await runCli(["read", "--json", "--store", store])).stdout;
  assert.equal(parseLines(readFileSync(out, "utf8")), parseLines(read));
  const [imported] = await runJson(["import", "ndjson", out, "--store", join(base, "new")]);
  assert.is(imported?.["events"], 3);
  assert.is((await runCli(["salvage", "--store", store, "--out", "-"])).stdout, readFileSync(out, "utf8"));
});

test("salvage of a damaged store says what is lost and ends with exit code 4", async () => {
  const { store, base } = await makeStore();
  // The header of the only frame with an event.
  writeSync(openSync(join(store, "wal/core-000/0000000001.wal"), "r+"), Buffer.of(0xff), 0, 1, 4096);
  assert.is((await runFailing(["verify", "--store", store])).code, "ERR_WAL_CORRUPT");
  const out = join(base, "events.ndjson");
  const run = await runCli(["salvage", store, "--out", out]);
  assert.is(run.exitCode, 4);
  assert.match(run.stdout, "0000000001.wal at offset 4096: neither a frame nor zeros");
  assert.ok(parseLines(readFileSync(out, "utf8")).length > 0);
});

test("salvage writes neither over a file nor into the store", async () => {
  const { store, base } = await makeStore();
  const taken = join(base, "taken");
  writeFileSync(taken, "mine");
  const overwriting = await runFailing(["salvage", store, "--out", taken]);
  assert.equal([overwriting.code, overwriting.exitCode], ["ERR_USAGE", 2]);
  assert.is(readFileSync(taken, "utf8"), "mine");
  const inside = await runFailing(["salvage", store, "--out", join(store, "events.ndjson")]);
  assert.is(inside.code, "ERR_USAGE");
  assert.not(existsSync(join(store, "events.ndjson")));
  assert.is(
    (await runFailing(["salvage", join(base, "absent"), "--out", join(base, "x")])).code,
    "ERR_STORE_NOT_FOUND",
  );
});
