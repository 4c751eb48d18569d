import { readdirSync } from "node:fs";
import { faultOf, fillTasks } from "../../src/cli/bench-recover.js";
import { LsnSum } from "../../src/cli/lsn-sum.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { runJson } from "./support/run-cli.js";

const test = suite("cli/bench-recover");

function sumOf(...lsns: readonly number[]): LsnSum {
  const sum = new LsnSum();
  sum.addEach(lsns.map((lsn) => ({ lsn })));
  return sum;
}

test("recovers what killed writers had acknowledged, and times it", async () => {
  const directory = temporaryDirectory();
  for (const cores of ["1", "3"]) {
    const parameters = ["bench", "recover", "--events", "5000", "--cores", cores, "--streams", "7"];
    const [result = {}] = await runJson([...parameters, "--dir", directory]);
    assert.is(result["fault"], null);
    assert.equal([result["events"], result["cores"]], [5_000, Number(cores)]);
    for (const figure of ["seconds", "eventsPerSecond", "rssMiB"]) assert.ok(Number(result[figure]) > 0, figure);
    assert.equal(readdirSync(directory), []);
  }
});

test("the cores share the events, and no two have a stream in common", () => {
  const tasks = fillTasks({ events: 11, cores: 3, streams: 8, payloadBytes: 16 }, "s", "p");
  assert.equal(
    tasks.map(({ events }) => events),
    [4, 4, 3],
  );
  assert.equal(
    tasks.map(({ firstCaller, callers }) => [firstCaller, callers]),
    [
      [0, 2],
      [2, 2],
      [4, 2],
    ],
  );
});

test("LSNs in a row add up as each of them does", () => {
  const inARow = new LsnSum();
  inARow.addRange(12, 3);
  inARow.addRange(1, 1);
  const each = sumOf(12, 1, 10, 11);
  assert.equal([inARow.count, inARow.total], [4, 34n]);
  assert.equal([each.count, each.total], [4, 34n]);
});

test("says what is wrong when events are missing, foreign or out of order", () => {
  const filled = { events: 3, lsnSum: 6n };
  const opened = { seconds: 1, rssMiB: 1, peakRssMiB: 1, ...filled, isRising: true };
  assert.is(faultOf(filled, opened), null);
  assert.match(faultOf(filled, { ...opened, events: 2 }) ?? "", "2 events were recovered of 3");
  assert.match(faultOf(filled, { ...opened, lsnSum: 7n }) ?? "", "other LSNs");
  assert.match(faultOf(filled, { ...opened, isRising: false }) ?? "", "order");
});
