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

test("verify counts what is sealed with the rest, compact makes one segment of small ones, and damage there is refused", async () => {
  const { store } = await makeStore(5);
  const lines = Array.from({ length: 4 }, (_, index) => `{"stream":"t${index % 2}","type":"T","data":${index}}\n`);
  for (let round = 1; round <= 3; round++) {
    const [saved] = await runJson(["checkpoint", "--store", store]);
    const log = saved?.["log"] as Record<string, unknown>;
    assert.equal([log["lsn"], log["segments"]], [1 + 4 * round, round]);
    await runJson(["import", "ndjson", "-", "--store", store], { input: lines.join("") });
  }
  const verify = async (): Promise<unknown[]> => {
    const [result = {}] = await runJson(["verify", "--store", store]);
    const { segments, lastLsn, records, voidLsns } = result["sealed"] as Record<string, unknown>;
    return [result["ok"], result["events"], result["streams"], segments, lastLsn, records, voidLsns];
  };
  assert.equal(await verify(), [true, 17, 3, 3, 13, 13, 0]);
  const read = (await runCli(["read", "--store", store])).stdout;
  const [compacted] = await runJson(["compact", "--store", store]);
  const log = compacted?.["log"] as Record<string, unknown>;
  assert.equal([log["lsn"], log["sealedRecords"], log["segments"], log["compactedSegments"]], [17, 4, 1, 3]);
  assert.equal(await verify(), [true, 17, 3, 1, 17, 17, 0]);
  assert.is((await runCli(["read", "--store", store])).stdout, read);
  await runJson(["compact", "--store", store]); // removes what no manifest lists any more
  const files = readdirSync(join(store, "log"));
  assert.is(files.length, 1);
  const path = join(store, "log", files[0] as string);
  writeSync(openSync(path, "r+"), Buffer.from([0xff]), 0, 1, 4096 + 100);
  const failure = await runFailing(["verify", "--store", store]);
  assert.is(failure.code, "ERR_WAL_CORRUPT");
  assert.is((failure["details"] as Record<string, unknown>)["path"], path);
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
