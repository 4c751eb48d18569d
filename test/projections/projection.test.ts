import { readdirSync } from "node:fs";
import { type Projection, type RunnerOptions, startProjection } from "../../src/projections/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { MemoryFeed, type NumberEvent } from "./memory-feed.js";
import { type RunningHash, runningHash } from "./running-hash.js";

const test = suite("projections/projection");

async function refuses(projection: unknown, options: unknown, named: RegExp): Promise<void> {
  const directory = temporaryDirectory();
  const starting = startProjection(
    new MemoryFeed(directory),
    projection as Projection<RunningHash, NumberEvent>,
    options as RunnerOptions<RunningHash, NumberEvent>,
  );
  const error = await rejects(starting, (given) => given instanceof TypeError);
  assert.match(error.message, named);
  assert.equal(readdirSync(directory), []);
}

test("a name that could lead elsewhere, or is too long, is refused before anything is touched", async () => {
  for (const name of [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "a\\b",
    "A",
    "ä",
    "a b",
    "a\0",
    "a.b",
    "a_b",
    "a".repeat(65),
    7,
    null,
  ]) {
    await refuses({ ...runningHash(), name }, {}, /projection\.name/);
  }
  for (const name of ["a", "0", "-", "constructor", "a".repeat(64)]) {
    const runner = await startProjection(new MemoryFeed(temporaryDirectory()), runningHash({ name }));
    await runner.close();
  }
});

test("a definition that is not what it should be is refused, naming the field", async () => {
  await refuses(null, {}, /projection must be an object/);
  for (const version of [0, -1, 1.5, 2 ** 53, "1", undefined]) {
    await refuses({ ...runningHash(), version }, {}, /projection\.version/);
  }
  for (const handles of ["Counted", undefined, [1], null]) {
    await refuses({ ...runningHash(), handles }, {}, /projection\.handles/);
  }
  for (const method of ["init", "apply", "encode", "decode"]) {
    await refuses({ ...runningHash(), [method]: undefined }, {}, new RegExp(`projection\\.${method}`));
  }
  await refuses({ ...runningHash(), prepare: true }, {}, /projection\.prepare/);
});

test("an option that is not what it should be is refused, naming the option", async () => {
  await refuses(runningHash(), null, /options/);
  await refuses(runningHash(), { onEror: "skip" }, /unknown option "onEror"/);
  await refuses(runningHash(), JSON.parse('{ "__proto__": 1 }'), /unknown option "__proto__"/);
  await refuses(runningHash(), { onError: "ignore" }, /onError/);
  for (const checkpointEveryEvents of [0, -1, 1.5, Number.NaN, "7"]) {
    await refuses(runningHash(), { checkpointEveryEvents }, /checkpointEveryEvents/);
  }
  await refuses(runningHash(), { previous: runningHash({ name: "other" }) }, /previous/);
  await refuses(runningHash(), { previous: runningHash() }, /previous/);
  await refuses(runningHash(), { previous: { ...runningHash({ version: 2 }), apply: 1 } }, /projection\.apply/);
  await refuses(runningHash(), { onProgress: 1 }, /onProgress/);
  await refuses(runningHash(), { onReport: "log" }, /onReport/);
});

test("an LSN to wait for must be one", async () => {
  const runner = await startProjection(new MemoryFeed(temporaryDirectory()), runningHash(), {
    checkpointEveryEvents: Number.POSITIVE_INFINITY,
  });
  for (const lsn of [-1, 1.5, Number.NaN, 2 ** 53, "1"]) {
    await rejects(runner.whenProcessed(lsn as number), (error) => error instanceof TypeError);
  }
  await runner.close();
});
