import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { assert, rejects, sameBytes } from "./assert.js";
import { seededRandom } from "./seeded-random.js";
import { suite } from "./suite.js";

const fixtures = fileURLToPath(new URL("fixtures", import.meta.url));
const test = suite("support/suite");

function exitOf(fixture: string): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`${fixtures}/${fixture}`], {
    encoding: "utf8",
    timeout: 20_000,
  });
  return { status, output: stdout + stderr };
}

for (const [fixture, told] of [
  ["failing-test", "FAIL"],
  ["failing-before-each", "beforeEach failed"],
  ["failing-after-each", "afterEach failed"],
  ["hanging-test", "did not finish within 50 ms"],
  ["nothing-declared", "no test was declared"],
  ["late-declaration", "after the module's first await"],
  ["early-exit", "did not run to their end"],
  ["coded-error", "no room"],
  ["thrown-undefined", "something that is no Error was thrown: undefined"],
] as const) {
  test(`exits with 1 and says why: ${fixture}`, () => {
    const { status, output } = exitOf(`${fixture}.fails.js`);
    assert.is(status, 1, output);
    assert.ok(output.includes(told), output);
  });
}

test("has a test for every failing fixture", () => {
  assert.is(readdirSync(fixtures).filter((name) => name.endsWith(".fails.js")).length, 9);
});

test("exits with 0 when everything passes or is skipped, and prints the reason of a skip", () => {
  const { status, output } = exitOf("passes.js");
  assert.is(status, 0, output);
  assert.ok(output.includes("skipped: fixture: cannot run here: no such hardware"), output);
});

test("rejects wants an error of that kind", async () => {
  const coded = Object.assign(new Error("full"), { code: "ERR_FULL" });
  assert.is(await rejects(Promise.reject(coded), "ERR_FULL"), coded);
  await rejects(
    () => {
      throw coded;
    },
    (error) => error.message === "full",
  );
  for (const work of [Promise.resolve(), Promise.reject(new Error("other"))]) {
    let refused = false;
    await rejects(work, "ERR_FULL").catch(() => {
      refused = true;
    });
    assert.ok(refused);
  }
});

test("sameBytes compares contents, not constructors, and lengths", () => {
  sameBytes(Buffer.from([1, 2]), Uint8Array.of(1, 2));
  assert.throws(() => sameBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3)), /offset 1/);
  assert.throws(() => sameBytes(Uint8Array.of(1, 2), Uint8Array.of(1)), /2 bytes instead of 1/);
});

test("a seed gives the same sequence again, another seed another one", () => {
  const first = seededRandom(7);
  const second = seededRandom(7);
  assert.is(first.seed, second.seed);
  for (let round = 0; round < 100; round += 1) assert.is(first.next(), second.next());
  if (process.env["SEED"] === undefined) assert.is.not(seededRandom(8).next(), seededRandom(9).next());
});

test("random integers fill their range evenly", () => {
  const random = seededRandom(1);
  const counts = new Uint32Array(8);
  for (let round = 0; round < 8000; round += 1) {
    const slot = random.integer(8);
    counts[slot] = (counts[slot] ?? 0) + 1;
  }
  for (const count of counts) assert.ok(count > 800 && count < 1200, `${counts}`);
});
