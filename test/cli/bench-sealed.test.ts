import { readdirSync } from "node:fs";
import { dataOf, eventCountOf, streamOfEvent } from "../../src/cli/sealed-event.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { type JsonObject, runJson } from "./support/run-cli.js";

const test = suite("cli/bench-sealed");

test("opens a store that is all sealed and reads what was written", async () => {
  const directory = temporaryDirectory();
  const parameters = ["--events", "3000", "--streams", "700", "--payload", "20", "--dir", directory];
  const [result = {}] = await runJson(["bench", "open", ...parameters]);
  assert.equal([result["fault"], result["events"], result["streams"]], [null, 3000, 700]);
  for (const figure of ["openMs", "rssMiB", "readRssMiB"]) assert.ok(Number(result[figure]) > 0, figure);
  for (const figure of ["coldReadMs", "warmReadUs"])
    assert.ok(Number((result[figure] as JsonObject)["p50"]) > 0, figure);
  assert.equal(readdirSync(directory), []);
});

test("seals a store while it appends, and verifies what was sealed", async () => {
  const directory = temporaryDirectory();
  const parameters = ["--events", "3000", "--streams", "70", "--payload", "20", "--dir", directory];
  const [result = {}] = await runJson(["bench", "merge", ...parameters]);
  assert.is(result["fault"], null);
  assert.ok(Number(result["sealedRecords"]) > 3000);
  for (const figure of ["appendsPerSecond", "mergeSeconds", "rssMiB"]) assert.ok(Number(result[figure]) > 0, figure);
  assert.equal(readdirSync(directory), []);
});

test("an event's stream and data follow from its number", () => {
  assert.equal([streamOfEvent(0, 3), streamOfEvent(7, 3)], ["stream-0", "stream-1"]);
  assert.equal([dataOf(12, 5), dataOf(123_456, 5)], ["12~~~", "123456"]);
  assert.equal([eventCountOf(0, 7, 3), eventCountOf(1, 7, 3), eventCountOf(2, 7, 3)], [3, 2, 2]);
});
