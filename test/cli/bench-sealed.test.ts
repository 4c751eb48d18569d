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

test("seals a store while it appends, and verifies what was sealed, packed and not", async () => {
  const directory = temporaryDirectory();
  const parameters = ["--events", "3000", "--streams", "70", "--payload", "200", "--dir", directory];
  const [result = {}] = await runJson(["bench", "merge", ...parameters]);
  const [packed = {}] = await runJson(["bench", "merge", ...parameters, "--compression", "deflate"]);
  assert.equal([result["fault"], packed["fault"]], [null, null]);
  assert.equal([result["compression"], packed["compression"]], ["none", "deflate"]);
  assert.ok(Number(result["sealedRecords"]) > 3000);
  const shareOf = (figures: JsonObject): number => Number(figures["fileBytes"]) / Number(figures["sealedBytes"]);
  assert.ok(shareOf(packed) < shareOf(result) * 0.8, JSON.stringify([result, packed]));
  for (const figure of ["appendsPerSecond", "mergeSeconds", "rssMiB"]) assert.ok(Number(result[figure]) > 0, figure);
  assert.equal(readdirSync(directory), []);
});

test("an event's stream and data follow from its number", () => {
  assert.equal([streamOfEvent(0, 3), streamOfEvent(7, 3)], ["stream-0", "stream-1"]);
  assert.equal([dataOf(12, 5).slice(0, 2), dataOf(123_456, 5)], ["12", "123456"]);
  assert.equal(
    [5, 1000, 2_000_000].map((bytes) => dataOf(7, bytes).length),
    [5, 1000, 2_000_000],
  );
  assert.is(dataOf(12, 50), dataOf(12, 50));
  assert.equal([eventCountOf(0, 7, 3), eventCountOf(1, 7, 3), eventCountOf(2, 7, 3)], [3, 2, 2]);
});
