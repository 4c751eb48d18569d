import { StoreError } from "../../src/errors.js";
import { LostBatches } from "../../src/events/lost-batches.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("events/lost-batches");

test("knows which epochs were lost, and why", () => {
  const lost = new LostBatches();
  const [full, failed] = [new StoreError("ERR_WAL_FULL", "full"), new StoreError("ERR_WAL_FAILED", "failed")];
  for (const epoch of [7, 6, 5]) lost.add(epoch, full);
  for (const epoch of [12, 11]) lost.add(epoch, full);
  lost.add(13, failed);
  const answers = Array.from({ length: 15 }, (_, epoch) => lost.errorOf(epoch)?.code ?? "-");
  const [f, x] = ["ERR_WAL_FULL", "ERR_WAL_FAILED"];
  assert.equal(answers, ["-", "-", "-", "-", "-", f, f, f, "-", "-", "-", f, f, x, "-"]);
  assert.is(lost.count, 6);
  assert.is(lost.newest, failed);
});

test("a million epochs lost one after the other for the same reason take one run", () => {
  const lost = new LostBatches();
  const full = new StoreError("ERR_WAL_FULL", "full");
  for (let epoch = 1; epoch <= 1_000_000; epoch++) lost.add(epoch, full);
  assert.is(lost.errorOf(1), full);
  assert.is(lost.errorOf(1_000_000), full);
  assert.is(lost.errorOf(1_000_001), null);
});
