/** Several processes and stores that want the same: exactly one gets it, and everybody agrees who, after replay as well. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Graph, openReader, openStore } from "../../../src/index.js";
import { assert } from "../../support/assert.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

const test = suite("projections/graph/command-races");

const RACER = fileURLToPath(new URL("./children/racing-commands.js", import.meta.url));
const BATCHES = fileURLToPath(new URL("./children/endless-batches.js", import.meta.url));
const RACERS = 3;
const KEYS = 12;

type Outcome = Record<"created" | "batch" | "upsert" | "counted", string>;

/** Who has which key, what the companies hold, and what was rejected. */
function seen(graph: Graph): unknown {
  const view = graph.asOf();
  const holders = (label: string) => [...view.find({ label })].map(({ id, properties }) => [id, { ...properties }]);
  return [
    holders("Person"),
    holders("Company"),
    holders("Counter"),
    graph.rejections,
    graph.rejectedCount,
    graph.counts,
  ];
}

async function raced(directory: string): Promise<Outcome[][]> {
  const racers = Array.from({ length: RACERS }, (_, index) =>
    spawn(process.execPath, [RACER, directory, `racer${index}`, `${KEYS}`], { stdio: ["pipe", "pipe", "inherit"] }),
  );
  const outputs = racers.map((racer) => textOf(racer));
  await Promise.all(racers.map((racer) => once(racer.stdout, "data")));
  for (const racer of racers) racer.stdin.write("go\n");
  return (await Promise.all(outputs)).map((text) => JSON.parse(text.split("\n")[1] ?? "") as Outcome[]);
}

async function textOf(child: ChildProcess): Promise<string> {
  let text = "";
  child.stdout?.on("data", (piece) => {
    text += piece;
  });
  const [code] = await once(child, "close");
  assert.is(code, 0, text);
  return text;
}

test("of processes that race for keys and versions exactly one wins each, and all agree", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory);
  const graph = await store.graph();
  await graph.addConstraint({ kind: "unique", label: "Person", property: "email" });
  await graph.addConstraint({ kind: "unique", label: "Company", property: "name" });
  const counter = await graph.createNode({ label: "Counter", properties: { count: 0 }, validFrom: 0 });
  const outcomes = await raced(directory);
  await graph.whenApplied(store.watermark);
  for (let key = 0; key < KEYS; key += 1) {
    for (const [what, code] of [
      ["created", "ERR_GRAPH_NOT_UNIQUE"],
      ["batch", "ERR_GRAPH_NOT_UNIQUE"],
    ] as const) {
      const results = outcomes.map((each) => each[key]?.[what]);
      assert.equal(results.toSorted(), [...Array.from({ length: RACERS - 1 }, () => code), "won"], `${what} ${key}`);
    }
    assert.equal(
      outcomes.map((each) => each[key]?.upsert),
      ["won", "won", "won"],
    );
  }
  const counted = outcomes.flat().filter((each) => each.counted === "won").length;
  const rest = outcomes.flat().filter((each) => each.counted === "ERR_GRAPH_VERSION_CONFLICT").length;
  assert.equal([counted + rest, graph.asOf().node(counter.id)?.properties["count"]], [RACERS * KEYS, counted]);
  const people = [...graph.asOf().find({ label: "Person" })].map(({ properties }) => properties["email"]);
  assert.equal([people.length, new Set(people).size], [2 * KEYS, 2 * KEYS]);
  // An edge came with each node of a batch that won, and with no other.
  assert.is(graph.asOf().degree(counter.id, { direction: "in" }), KEYS);
  assert.equal(
    [...graph.asOf().find({ label: "Company" })].map(({ properties }) => Object.keys(properties).length),
    Array.from({ length: KEYS }, () => 1 + RACERS),
  );
  const expected = seen(graph);
  await using reader = await openReader(directory);
  assert.equal(seen(await reader.graph()), expected);
  await store.checkpoint();
  await store.close();
  for (const replays of [false, true]) {
    if (replays) rmSync(join(directory, "projections"), { recursive: true, force: true });
    await using again = await openStore(directory);
    assert.equal(seen(await again.graph()), expected, `replays: ${replays}`);
  }
});

test("of two stores that race, what both were let write is decided at the LSN, and a batch that lost has done nothing", async () => {
  const directory = join(temporaryDirectory(), "store");
  await using store = await openStore(directory);
  await using other = await openStore(directory);
  const graphs = [await store.graph(), await other.graph()];
  await graphs[0]?.addConstraint({ kind: "unique", label: "Person", property: "email" });
  const person = (by: number) => ({ label: "Person", properties: { email: "a", by }, validFrom: 0 });
  const results = await Promise.allSettled(
    graphs.flatMap((graph, by) => [
      graph.createNode(person(by)),
      graph.batch((batch) => {
        const node = batch.createNode(person(by));
        batch.createEdge({ label: "SELF", source: node, target: node, validFrom: 0 });
        batch.createNode({ label: "Other", validFrom: 0 });
      }),
      graph.addConstraint({ kind: "required", label: "Person", property: "email" }),
    ]),
  );
  const codes = results.map((result) => (result.status === "rejected" ? result.reason.code : "won"));
  assert.is([0, 1, 3, 4].filter((index) => codes[index] === "won").length, 1, codes.join());
  assert.equal([codes[2], codes[5]].toSorted(), ["ERR_GRAPH_CONSTRAINT_EXISTS", "won"]);
  const isBatch = codes[1] === "won" || codes[4] === "won";
  for (const graph of graphs) {
    await graph.whenApplied(Math.max(store.watermark, other.watermark));
    assert.equal(graph.counts, isBatch ? { nodes: 2, edges: 1 } : { nodes: 1, edges: 0 });
  }
  assert.equal(seen(graphs[0] as Graph), seen(graphs[1] as Graph));
});

test("of a batch whose writer is killed all is there or nothing, and all of those that it had answered for", async () => {
  for (let round = 0; round < 3; round += 1) {
    const directory = join(temporaryDirectory(), "store");
    const child = spawn(process.execPath, [BATCHES, directory], { stdio: ["ignore", "pipe", "inherit"] });
    let done = 0;
    child.stdout.on("data", (piece: Buffer) => {
      done += piece.length;
    });
    await once(child.stdout, "data");
    await delay(40 + 70 * round);
    const closed = once(child, "close");
    child.kill("SIGKILL");
    await closed;
    for (const replays of [false, true]) {
      if (replays) rmSync(join(directory, "projections"), { recursive: true, force: true });
      await using store = await openStore(directory);
      const graph = await store.graph();
      const view = graph.asOf();
      const hubs = [...view.find({ label: "Hub" })];
      assert.ok(hubs.length >= done, `${hubs.length} of ${done}`);
      for (const { id } of hubs) assert.is(view.degree(id, { direction: "out" }), 20);
      assert.equal(graph.counts, { nodes: 21 * hubs.length, edges: 20 * hubs.length });
    }
  }
});
