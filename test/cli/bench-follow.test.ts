import { readdirSync } from "node:fs";
import { followFault, followTimes } from "../../src/cli/bench-follow.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { type JsonObject, runJson } from "./support/run-cli.js";

const test = suite("cli/bench-follow");

const APPENDED = [10, 11, 12].map((lsn) => ({
  lsn,
  startedNs: BigInt(lsn) * 1_000_000n,
  acknowledgedNs: BigInt(lsn) * 1_000_000n + 200_000n,
}));
const seenAfter = (us: readonly number[]) =>
  APPENDED.slice(0, us.length).map(({ lsn, acknowledgedNs }, index) => ({
    lsn,
    seenNs: acknowledgedNs + BigInt((us[index] as number) * 1_000),
  }));

test("measures followers in other processes, by a store and by a reader", async () => {
  const directory = temporaryDirectory();
  const parameters = ["bench", "follow", "--events", "30", "--every-ms", "1", "--dir", directory];
  const [result = {}] = await runJson(parameters);
  assert.is(result["fault"], null);
  // Null: a reader that has to be asked whether there is more.
  const reader = result["reader"] as JsonObject | null;
  for (const times of [result["store"] as JsonObject, ...(reader === null ? [] : [reader])]) {
    assert.is(times["count"], 30);
    assert.ok((times["p50Us"] as number) <= (times["p99Us"] as number));
    assert.ok((times["sinceAppendUs"] as { p50: number }).p50 > 0);
  }
  assert.equal(readdirSync(directory), []);
});

test("times run from the acknowledgement, and are negative where the event came first", () => {
  const times = followTimes(APPENDED, seenAfter([300, -50, 100]));
  assert.equal(times, { p50Us: 100, p99Us: 300, sinceAppendUs: { p50: 300, p99: 500 }, count: 3 });
});

test("says what a follower has missed or had out of order", () => {
  const seen = seenAfter([1, 2, 3]);
  assert.is(followFault(APPENDED, seen), null);
  assert.match(followFault(APPENDED, seen.slice(1)) ?? "", "2 events were seen of 3");
  assert.match(followFault(APPENDED, seen.toReversed()) ?? "", "LSN 10");
  assert.is(followTimes(APPENDED, seen.slice(1)).count, 2);
});
