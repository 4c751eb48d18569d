import { readdirSync } from "node:fs";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { type JsonObject, runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/bench-writers");
const SMALL = ["--concurrency", "5", "--events", "600"];
// Every run starts its threads or processes anew, which on a busy machine takes its time.
const MANY_STARTS = { timeoutMs: 120_000 };

async function bench(parameters: readonly string[]): Promise<JsonObject> {
  const directory = temporaryDirectory();
  const [result = {}] = await runJson(["bench", "append", ...parameters, "--dir", directory]);
  assert.equal(readdirSync(directory), []);
  return result;
}

for (const kind of ["thread", "process"]) {
  test(
    `several writers of kind ${kind} are measured on one store and on a store each, and checked`,
    async () => {
      const result = await bench([...SMALL, "--writers", "2", "--kind", kind, "--pairs", "3"]);
      assert.is(result["fault"], null);
      assert.equal([result["writers"], result["kind"], result["events"], result["concurrency"]], [2, kind, 600, 5]);
      const pairs = result["pairs"] as { shared: number; independent: number }[];
      assert.is(pairs.length, 3);
      const middle = (rates: number[]): number => rates.sort((a, b) => a - b)[1] as number;
      assert.is(result["eventsPerSecond"], middle(pairs.map(({ shared }) => shared)));
      assert.is(result["independentEventsPerSecond"], middle(pairs.map(({ independent }) => independent)));
      const ratio = middle(pairs.map(({ shared, independent }) => shared / independent));
      assert.ok(Math.abs((result["ratio"] as number) - ratio) < 0.01, `${result["ratio"]} for ${ratio}`);
      const writers = result["perWriter"] as { eventsPerSecond: number; latencyMs: Record<string, number> }[];
      assert.is(writers.length, 2);
      for (const { eventsPerSecond, latencyMs } of writers) {
        assert.ok(eventsPerSecond > 0);
        assert.equal(Object.keys(latencyMs), ["p50", "p99", "p999", "max"]);
      }
      assert.is(result["others"], null);
      assert.type(result["io"], "string");
    },
    MANY_STARTS,
  );
}

test("a writer that blocks its event loop is told apart from the others", async () => {
  const blocking = ["--block-ms", "30", "--block-every-ms", "40"];
  const load = ["--concurrency", "1", "--events", "60", "--kind", "process", "--writers", "2"];
  const result = await bench([...load, ...blocking]);
  assert.is(result["fault"], null);
  const [blocked, other] = result["perWriter"] as { latencyMs: { max: number } }[];
  assert.ok((blocked?.latencyMs.max ?? 0) >= 30, "who is blocked waits for itself");
  assert.equal((result["others"] as JsonObject)["latencyMs"], other?.latencyMs);
});

test("options that make no sense together are refused", async () => {
  for (const wrong of [
    ["--pairs", "2"],
    ["--block-ms", "2"],
    ["--writers", "2", "--block-every-ms", "2"],
    ["--writers", "2", "--block-ms", "2", "--block-every-ms", "2"],
    ["--writers", "2", "--durability", "async"],
    ["--writers", "2", "--kind", "fibre"],
  ]) {
    assert.is((await runFailing(["bench", "append", ...wrong])).code, "ERR_USAGE", wrong.join(" "));
  }
});

test(
  "interrupted, it leaves neither files nor processes behind",
  async () => {
    const directory = temporaryDirectory();
    for (const kind of ["thread", "process"]) {
      const load = ["--events", "100000000", "--writers", "2", "--kind", kind];
      const run = await runCli(["bench", "append", ...load, "--dir", directory], {
        onStart: (child) => {
          const interruptWhenBusy = setInterval(() => {
            const [made] = readdirSync(directory);
            if (made === undefined || !readdirSync(`${directory}/${made}`).includes("shared-0")) return;
            clearInterval(interruptWhenBusy);
            // To it alone: a terminal would signal its processes as well.
            setTimeout(() => child.kill("SIGTERM"), 300);
          }, 5);
        },
      });
      assert.is(run.exitCode, 143, kind);
      assert.equal(readdirSync(directory), [], kind);
    }
  },
  MANY_STARTS,
);
