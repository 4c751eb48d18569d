import { readdirSync } from "node:fs";
import { join } from "node:path";
import { openStore } from "../../src/index.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/retention-commands");

async function filled(): Promise<string> {
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory);
  for (const name of ["a", "b", "c", "p-1", "p-2"]) {
    for (let number = 1; number <= 5; number++) await store.append(name, { type: "T", data: number });
  }
  await store.checkpoint();
  await store.append("a", { type: "T", data: 6 });
  await store.close();
  return directory;
}

test("streams are truncated, deleted, tombstoned and bounded, and scavenged", async () => {
  const directory = await filled();
  const at = ["--store", directory];
  assert.equal(await runJson(["stream", "truncate", "a", "--before", "3", ...at]), [
    { stream: "a", before: 3, lsn: 27 },
  ]);
  assert.equal(await runJson(["stream", "delete", "b", "--expected-version", "5", ...at]), [{ stream: "b", lsn: 28 }]);
  assert.equal(await runJson(["stream", "tombstone", "c", ...at]), [{ stream: "c", lsn: 29 }]);
  assert.equal(await runJson(["stream", "delete", "p-", "--prefix", ...at]), [{ prefix: "p-", lsn: 30 }]);
  assert.equal(await runJson(["stream", "retain", "a", "--max-age", "30d", "--max-count", "3", ...at]), [
    { stream: "a", maxAgeMs: 30 * 86_400_000, maxCount: 3, lsn: 31 },
  ]);
  assert.equal(
    (await runJson(["read", "--stream", "a", ...at])).map(({ version }) => version),
    [4, 5, 6],
  );
  assert.is((await runFailing(["read", "--stream", "c", ...at])).code, "ERR_STREAM_TOMBSTONED");
  const [report] = await runJson(["scavenge", ...at]);
  assert.equal([report?.["removedRecords"], report?.["rewrittenSegments"]], [3 + 5 + 5 + 10, 1]);
  const [verified] = await runJson(["verify", ...at]);
  assert.equal([verified?.["ok"], verified?.["events"]], [true, 3 + 5 + 1]);
  assert.match((await runCli(["scavenge", ...at])).stdout, "0 events removed");
  assert.match((await runCli(["stream", "retain", "a", ...at])).stdout, "a is kept as said");
  assert.match((await runCli(["stream", "tombstone", "q-", "--prefix", ...at])).stdout, "q-");
});

test("a log is truncated when its segments are archived", async () => {
  const directory = await filled();
  const at = ["--store", directory];
  const archive = join(temporaryDirectory(), "archive");
  const [report] = await runJson(["truncate", "--before", "26", "--archive", archive, ...at]);
  assert.equal([report?.["horizon"], report?.["droppedSegments"]], [25, 1]);
  assert.is(readdirSync(archive).length, 1);
  const failure = await runFailing(["read", ...at]);
  assert.equal([failure.code, (failure["details"] as { horizon: number }).horizon], ["ERR_LOG_TRUNCATED", 25]);
  assert.is((await runJson(["read", "--after", "25", ...at])).filter(({ stream }) => stream === "a").length, 1);
  const [verified] = await runJson(["verify", ...at]);
  assert.equal([verified?.["ok"], verified?.["events"]], [true, 2]);
  assert.match(
    (await runCli(["truncate", "--before", "2", "--without-archive", ...at])).stdout,
    "the log begins after LSN 25",
  );
});

test("wrong arguments are named", async () => {
  const directory = await filled();
  const at = ["--store", directory];
  for (const parameters of [
    ["truncate", "--before", "5"],
    ["truncate", "--before", "5", "--archive", "x", "--without-archive"],
    ["truncate", "--before", "999", "--without-archive"],
    ["stream", "truncate", "a"],
    ["stream", "truncate", "a", "--before", "9"],
    ["stream", "delete", "a", "--expected-version", "any"],
    ["stream", "delete", "p-", "--prefix", "--expected-version", "3"],
    ["stream", "retain", "a", "--max-age", "3 weeks"],
    ["stream", "retain", "a", "--max-count", "0"],
  ]) {
    assert.is((await runFailing([...parameters, ...at])).code, "ERR_USAGE", parameters.join(" "));
  }
  assert.is((await runFailing(["stream", "delete", "$retention", ...at])).code, "ERR_EVENTS_INVALID_STREAM");
  assert.is((await runFailing(["scavenge", "--store", temporaryDirectory()])).code, "ERR_STORE_NOT_FOUND");
});
