import { copyFileSync, openSync, readdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { parseLines, runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/verify and inspect");

/** A store with so many events, written by one owner. */
async function makeStore(events: number): Promise<{ store: string; segment: string }> {
  const store = join(temporaryDirectory(), "store");
  const input = Array.from({ length: events }, (_, index) => `{"stream":"s","type":"T","data":"number ${index}"}\n`);
  await runJson(["import", "ndjson", "-", "--store", store], { input: input.join("") });
  const files = join(store, "wal/core-000");
  const [first = ""] = readdirSync(files).sort();
  return { store, segment: join(files, first) };
}

test("verify counts what is there", async () => {
  const { store } = await makeStore(3);
  const [result] = await runJson(["verify", "--store", store]);
  assert.equal([result?.["ok"], result?.["events"], result?.["streams"]], [true, 3, 1]);
  assert.match((await runCli(["verify", "--store", store])).stdout, "nothing damaged");
});

test("stats says what a store holds", async () => {
  const { store } = await makeStore(2);
  const [stats] = await runJson(["stats", "--store", store]);
  assert.equal([stats?.["lastLsn"], stats?.["tailStreams"], stats?.["directory"]], [2, 1, store]);
  assert.match(String(stats?.["storeId"]), /^[0-9a-f]{32}$/);
});

test("damage is refused with file and offset, and inspect shows the place", async () => {
  const { store, segment } = await makeStore(3);
  const whole = await runJson(["inspect", segment]);
  const frames = whole.filter((item) => item["kind"] === "frame");
  assert.ok(frames.length >= 1 && frames.every((frame) => frame["body"] === "valid" && frame["isAtItsPlace"] === true));
  assert.is(whole[0]?.["kind"], "preamble");

  const frame = frames[0]?.["fileOffset"] as number;
  const copy = join(temporaryDirectory(), "copy.wal");
  copyFileSync(segment, copy);
  for (const path of [segment, copy]) writeSync(openSync(path, "r+"), Buffer.from([0xff]), 0, 1, frame + 210);

  const failure = await runFailing(["verify", "--store", store]);
  assert.is(failure.code, "ERR_WAL_CORRUPT");
  const details = failure["details"] as Record<string, unknown>;
  assert.is(details["path"], segment);
  assert.is(details["offset"], frame);
  for (const command of [["read"], ["stats"], ["append", "--stream", "s", "--type", "T"]])
    assert.is((await runFailing([...command, "--store", store])).code, "ERR_WAL_CORRUPT");

  const shown = await runCli(["inspect", copy, "--json"]);
  assert.is(shown.exitCode, 1);
  const damaged = parseLines(shown.stdout).find((item) => item["fileOffset"] === frame);
  assert.is(damaged?.["body"], "damaged");
  assert.match((await runCli(["inspect", "1", "--store", store])).stdout, "BODY damaged");
});
