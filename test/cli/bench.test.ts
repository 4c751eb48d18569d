import { readdirSync } from "node:fs";
import { join } from "node:path";
import {
  type AppendLoad,
  type BenchEvent,
  type BenchStore,
  findFault,
  type ReadableBenchStore,
  runAppendLoad,
  writtenBy,
} from "../../src/cli/bench-append.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { type JsonObject, runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/bench");

/** A store in memory, to show what the check finds. */
function memoryStore(events: BenchEvent[]): BenchStore & ReadableBenchStore {
  const versions = new Map<string, number>();
  return {
    append: async (stream, event) => {
      const { body } = event.data as { body: Uint8Array };
      const version = (versions.get(stream) ?? 0) + 1;
      versions.set(stream, version);
      const payload = Buffer.concat([Buffer.from([0x0a, body.length]), body]);
      events.push({ stream, version, type: event.type, lsn: events.length + 1, payload });
      return { version, lsn: events.length, created: version === 1, duplicate: false };
    },
    flush: async () => {},
    readBatches: async function* () {
      yield events;
    },
  };
}

const LOAD: AppendLoad = { concurrency: 3, events: 100, payloadBytes: 20, durability: "group" };

test("measures appends in every mode, and finds every event again", async () => {
  const directory = temporaryDirectory();
  for (const durability of ["sync", "group", "async", "asyncBatched"]) {
    const parameters = ["bench", "append", "--concurrency", "7", "--events", "500", "--payload", "64"];
    const [result] = await runJson([...parameters, "--durability", durability, "--dir", directory]);
    assert.is(result?.["fault"], null);
    assert.ok(Number(result?.["eventsPerSecond"]) > 0);
    const latency = result?.["latencyMs"] as Record<string, number>;
    assert.equal(Object.keys(latency), ["p50", "p99", "p999", "max"]);
    assert.ok(0 < (latency["p50"] ?? 0) && (latency["p50"] ?? 0) <= (latency["max"] ?? 0));
    assert.type(result?.["io"], "string");
    assert.type(result?.["direct"], "boolean");
  }
  assert.equal(readdirSync(directory), []);
});

test("interrupted, it leaves nothing behind", async () => {
  const directory = temporaryDirectory();
  for (const [signal, exitCode] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    const run = await runCli(["bench", "append", "--events", "100000000", "--dir", directory], {
      onStart: (child) => {
        const signalWhenBusy = setInterval(() => {
          if (readdirSync(directory).length === 0) return;
          clearInterval(signalWhenBusy);
          child.kill(signal);
        }, 5);
      },
    });
    assert.is(run.exitCode, exitCode);
    assert.equal(readdirSync(directory), []);
  }
});

test("works with fewer events than callers, and with payloads of any size", async () => {
  const directory = temporaryDirectory();
  for (const [concurrency, events, payload] of [
    ["9", "4", "4"],
    ["1", "1", "5"],
    ["2", "9", "129"],
    ["2", "9", "130"],
    ["1", "3", "100000"],
  ] as const) {
    const sizes = ["--concurrency", concurrency, "--events", events, "--payload", payload];
    const [result] = await runJson(["bench", "append", ...sizes, "--store", directory]);
    assert.is(result?.["fault"], null, sizes.join(" "));
  }
  assert.is((await runFailing(["bench", "append", "--payload", "3"])).code, "ERR_USAGE");
});

test("says what is wrong when an event is missing, changed, doubled, out of order or foreign", async () => {
  const damages: readonly (readonly [RegExp, (events: BenchEvent[]) => void])[] = [
    [/out of order/, (events) => events.splice(50, 1)],
    [/109 events were read back of 110/, (events) => events.pop()],
    [/out of order/, (events) => events.splice(10, 0, events[10] as BenchEvent)],
    [/other bytes/, (events) => events[70]?.payload.set([0xee], 9)],
    [/other bytes/, (events) => events[70]?.payload.set([0xee], 2)],
    [/out of order/, (events) => events.reverse()],
    [/holds Other/, (events) => events.splice(0, 1, { ...(events[0] as BenchEvent), type: "Other" })],
    [/of elsewhere/, (events) => events.splice(0, 1, { ...(events[0] as BenchEvent), stream: "elsewhere" })],
  ];
  for (const [fault, damage] of damages) {
    const events: BenchEvent[] = [];
    const store = memoryStore(events);
    const figures = await runAppendLoad(store, LOAD);
    assert.ok(figures.eventsPerSecond > 0);
    assert.is(await findFault(store, writtenBy(LOAD)), null);
    damage(events);
    assert.match((await findFault(store, writtenBy(LOAD))) ?? "nothing found", fault);
  }
});

test("measures the graph beside others, each of which gives the same answers", async () => {
  const parameters = ["bench", "graph", "--nodes", "500", "--edges", "1500"];
  const [result = {}] = await runJson(parameters, { ownProcess: true });
  assert.is(result["fault"], null);
  for (const figure of [
    "replayEventsPerSecond",
    "bytesPerEntity",
    "correctedBytesPerEntity",
    "asOfNs",
    "hops3Us",
    "findUs",
  ])
    assert.ok(Number(result[figure]) > 0, figure);
  const peers = result["peers"] as JsonObject;
  for (const peer of ["map", "graphology"]) {
    const report = peers[peer] as JsonObject;
    assert.is(report["fault"], null, peer);
    for (const figure of ["nodeNs", "hops3Us", "findUs"]) assert.ok(Number(report[figure]) > 0, `${peer} ${figure}`);
  }
  const [alone = {}] = await runJson([...parameters, "--no-peers"], { ownProcess: true });
  assert.equal((alone["peers"] as JsonObject)["map"], { fault: "was not asked" });
});

test("measures vectors beside usearch alone, with the share of the nearest that are found", async () => {
  const size = ["--vectors", "1500", "--dimensions", "16", "--queries", "20", "--clusters", "30"];
  const [result = {}] = await runJson(["bench", "vectors", ...size], { ownProcess: true });
  assert.is(result["fault"], null);
  for (const storage of ["f32", "i8"]) {
    const figures = result[storage] as JsonObject;
    for (const each of [figures, figures["usearch"] as JsonObject]) {
      for (const figure of ["insertsPerSecond", "searchesPerSecond"]) assert.ok(Number(each[figure]) > 0, figure);
    }
    assert.ok(Number.isFinite(figures["addedShare"]));
    assert.ok(Number(figures["recallAt10"]) > 0.9, `${storage}: ${figures["recallAt10"]}`);
  }
});

test("measures reading, replaying and the graph's memory, on a log that can be used again", async () => {
  const store = join(temporaryDirectory(), "store");
  const parameters = ["bench", "replay", "--nodes", "2000", "--edges", "6000", "--store", store];
  for (let round = 0; round < 2; round += 1) {
    // In a process of its own, whose memory nothing else moves.
    const [result = {}] = await runJson(parameters, { ownProcess: true });
    assert.is(result["fault"], null);
    const [readAll, replay] = [result["readAll"] as JsonObject, result["replay"] as JsonObject];
    assert.equal([readAll["events"], replay["events"]], [8_000, 8_000]);
    for (const rate of [readAll, replay]) assert.ok(Number(rate["eventsPerSecond"]) > 0);
    assert.ok(Number(result["bytesPerEntity"]) > 0);
  }
  const failure = await runFailing(["bench", "replay", "--nodes", "5", "--edges", "5", "--store", store]);
  assert.is(failure.code, "ERR_USAGE");
});
