/** What projections derived of a subject goes with it: their states, and their checkpoints, whether they run or not. */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  openReader,
  openStore,
  type Projection,
  type RecordedEvent,
  rebuildProjection,
  type Store,
} from "../../src/index.js";
import { filesIn, keyOf } from "../encryption/support.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("privacy/projections");
let directory = "";
let subjectKeys = "";
test.beforeEach(() => {
  const base = temporaryDirectory();
  directory = join(base, "store");
  subjectKeys = join(base, "subjects");
});

const names: Projection<string[], RecordedEvent> = {
  name: "names",
  version: 1,
  handles: ["Named"],
  init: () => [],
  apply: (state, { data }) => [...state, (data as { name: string }).name],
  encode: (state) => Buffer.from(JSON.stringify(state)),
  decode: async (chunks) => {
    let text = "";
    for await (const chunk of chunks) text += Buffer.from(chunk).toString();
    return JSON.parse(text);
  },
};
const older: typeof names = { ...names, name: "idle" };

function opened(): Promise<Store> {
  return openStore(directory, { encryption: { key: keyOf(1), subjectKeys } });
}

async function name(store: Store, text: string, subject?: string): Promise<number> {
  const event = { type: "Named", data: { name: text }, ...(subject !== undefined && { subject }) };
  return (await store.append("names", event)).lsn;
}

const checkpointOf = (projection: string): string => join(directory, "projections", projection, "v1.checkpoint");

test("a running projection that has handled the subject drops its state and its checkpoint, and is rebuilt without", async () => {
  const store = await opened();
  await name(store, "Ann", "ann");
  await name(store, "nobody");
  await name(store, "Bob", "bob");
  const running = await store.project(names);
  await running.whenCaughtUp();
  assert.equal(running.state, ["Ann", "nobody", "Bob"]);
  await running.checkpoint();
  assert.ok(existsSync(checkpointOf("names")));
  const reports: string[] = [];
  const { lsn } = await store.forget("ann");
  assert.not.ok(existsSync(checkpointOf("names")));
  assert.not.ok(running.state.includes("Ann"));
  await running.whenProcessed(lsn);
  assert.equal(running.state, ["nobody", "Bob"]);
  await running.whenCaughtUp();
  while (running.status !== "live") await new Promise((resolve) => setImmediate(resolve)); // a moment later
  await running.whenProcessed(await name(store, "Ann again", "ann"));
  assert.equal(running.state, ["nobody", "Bob", "Ann again"]);
  await store.close();
  const again = await opened();
  const resumed = await again.project(names, { onReport: ({ kind }) => reports.push(kind) });
  assert.is(resumed.recovery.from, "checkpoint");
  await resumed.whenCaughtUp();
  assert.equal(resumed.state, ["nobody", "Bob", "Ann again"]);
  assert.equal(reports, []);
  await again.close();
});

test("a projection that has nothing of the subject goes on as it was", async () => {
  const store = await opened();
  await name(store, "Bob", "bob");
  await store.append("else", { type: "Other", data: { name: "Ann" }, subject: "ann" });
  const running = await store.project(names);
  await running.whenCaughtUp();
  await running.checkpoint();
  const before = readFileSync(checkpointOf("names"));
  const { lsn } = await store.forget("ann");
  await running.whenProcessed(lsn);
  assert.equal(readFileSync(checkpointOf("names")), before);
  assert.equal(running.state, ["Bob"]);
  await store.close();
});

test("a checkpoint of a projection that does not run is removed where it has something of the subject, and only there", async () => {
  let store = await opened();
  await name(store, "Ann", "ann");
  await (await store.project(older)).whenCaughtUp();
  await store.checkpoint();
  await name(store, "Bob", "bob");
  await store.close();
  store = await opened();
  await store.forget("bob");
  assert.ok(existsSync(checkpointOf("idle")));
  await store.forget("ann");
  assert.not.ok(existsSync(checkpointOf("idle")));
  const running = await store.project(older);
  await running.whenCaughtUp();
  assert.equal(running.state, []);
  await store.close();
});

test("a checkpoint that came back, or that a killed process left, is not believed, and removed", async () => {
  let store = await opened();
  await name(store, "Ann", "ann");
  await (await store.project(names)).whenCaughtUp();
  await store.checkpoint();
  const kept = readFileSync(checkpointOf("names"));
  await store.forget("ann");
  await store.close();
  writeFileSync(checkpointOf("names"), kept);
  store = await opened();
  const running = await store.project(names, { onReport: () => {} });
  assert.equal(
    running.recovery.refused.map(({ reason }) => reason),
    ["forgotten"],
  );
  assert.not.ok(existsSync(checkpointOf("names")));
  await running.whenCaughtUp();
  assert.equal(running.state, []);
  await store.close();
});

test("a version before that serves goes with what it has of the subject", async () => {
  let store = await opened();
  await name(store, "Ann", "ann");
  await (await store.project(names)).whenCaughtUp();
  await store.close();
  store = await opened();
  const others = Array.from({ length: 3000 }, () => ({ type: "Named", data: { name: "x" } }));
  await store.append("names", others);
  let block = true;
  const next: typeof names = {
    ...names,
    version: 2,
    apply: (state, event) => {
      if (block) throw new Error("not yet");
      return names.apply(state, event);
    },
  };
  const running = await store.project(next, { previous: names, onError: "skip", onReport: () => {} });
  assert.ok(running.version === 1 || running.skippedEvents > 0);
  block = false;
  const { lsn } = await store.forget("ann");
  await running.whenProcessed(lsn);
  assert.is(running.version, 2);
  assert.not.ok(running.state.includes("Ann"));
  assert.is(running.skippedEvents, 0);
  assert.is(running.state.length, 3000);
  await store.close();
  assert.not.ok(existsSync(checkpointOf("names")));
});

test("a projection in another process's place, a reader, drops its state when it hears of it", async () => {
  const store = await opened();
  await name(store, "Ann", "ann");
  const other = await opened();
  const running = await other.project(names);
  await running.whenCaughtUp();
  assert.equal(running.state, ["Ann"]);
  const { lsn } = await store.forget("ann");
  await running.whenProcessed(lsn);
  await running.whenCaughtUp();
  assert.equal(running.state, []);
  await other.close();
  await store.close();
});

test("a graph on a reader drops its state when it hears of it", async () => {
  const store = await opened();
  const graph = await store.graph();
  const ann = await graph.createNode({ label: "Person", properties: { name: "Ann" }, validFrom: 0, subject: "ann" });
  const reader = await openReader(directory, { encryption: { key: keyOf(1), subjectKeys } });
  const seen = await reader.graph();
  await seen.whenApplied(ann.lsn);
  assert.is(seen.asOf().node(ann.id)?.label, "Person");
  const { lsn } = await store.forget("ann");
  await seen.whenApplied(lsn);
  while (seen.asOf().node(ann.id) !== undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(seen.history("node", ann.id).toArray(), []);
  await reader.close();
  await store.close();
});

test("where the log was truncated a state that has something of the subject goes all the same, and the projection says why it stops", async () => {
  const store = await opened();
  const running = await store.project(names, { onReport: () => {} });
  for (let index = 0; index < 20; index++) {
    await name(store, `n-${index}`, index === 3 ? "ann" : undefined);
    if (index % 10 === 9) await store.checkpoint();
  }
  await running.whenCaughtUp();
  await store.truncateBefore(15, { archive: "none" });
  assert.ok(store.horizon > 0);
  await store.forget("ann");
  assert.not.ok(existsSync(checkpointOf("names")));
  await rejects(running.whenCaughtUp(), "ERR_PROJECTION_FAILED");
  assert.not.ok(running.state.includes("n-3"));
  assert.is(running.error?.details["horizon"], store.horizon);
  await store.close().catch(() => {});
});

test("without the subjects' keys a projection stops at such an event, whatever its policy", async () => {
  let store = await opened();
  const lsn = await name(store, "Ann", "ann");
  await store.close();
  store = await openStore(directory, { encryption: { key: keyOf(1) } });
  const running = await store.project(names, { onError: "skip", onReport: () => {} });
  await rejects(running.whenProcessed(lsn), "ERR_PROJECTION_FAILED");
  assert.match(String(running.error?.cause), /subjectKeys/);
  await store.close().catch(() => {});
});

test("a node whose creating event had the subject is gone from every view, and from every file", async () => {
  const store = await opened();
  const graph = await store.graph();
  const validFrom = Date.UTC(2020, 0, 1) * 1000;
  const kept = await graph.createNode({ label: "Person", properties: { name: "Bob Kept" }, validFrom });
  const ann = await graph.createNode({
    label: "Person",
    properties: { name: "Ann Secretname" },
    validFrom,
    subject: "ann",
  });
  const edge = await graph.createEdge({ label: "KNOWS", source: kept.id, target: ann.id, validFrom });
  await graph.patchNode(kept.id, { note: "met Ann Secretname" }, { validFrom, subject: "ann" });
  const before = graph.lsn;
  await store.checkpoint();
  const { lsn } = await store.forget("ann");
  await graph.whenApplied(lsn);
  for (const recordedAt of [{ lsn: before }, { lsn: graph.lsn }]) {
    const view = graph.asOf({ validAt: validFrom + 1, recordedAt });
    assert.is(view.node(ann.id), undefined);
    assert.is(view.edge(edge.id), undefined);
    assert.equal({ ...view.node(kept.id)?.properties }, { name: "Bob Kept" });
  }
  assert.equal(graph.history("node", ann.id).toArray(), []);
  await store.checkpoint();
  await store.close();
  const reader = await openReader(directory, { encryption: { key: keyOf(1), subjectKeys } });
  assert.is((await reader.graph()).asOf({ validAt: validFrom + 1 }).node(ann.id), undefined);
  await reader.close();
  for (const file of [...filesIn(directory), subjectKeys]) {
    const bytes = readFileSync(file);
    assert.not.ok(bytes.includes("Secretname") || bytes.includes("ann"), file);
  }
});

test("a rebuild that is under way drops what it has of the subject, and does not bring it back", async () => {
  const store = await opened();
  await name(store, "Ann", "ann");
  for (let count = 0; count < 30; count += 1) {
    await store.append(
      "names",
      Array.from({ length: 100 }, () => ({ type: "Named", data: { name: "nobody" } })),
    );
  }
  const states: string[][] = [];
  const encode = (state: string[]): Uint8Array | Iterable<Uint8Array> => {
    states.push(state);
    return names.encode(state);
  };
  const running = await store.project({ ...names, encode });
  await running.whenCaughtUp();
  const rebuilding = running.rebuild({ maxEventsPerSecond: 4000 });
  while ((running.metrics.rebuild?.lsn ?? 0) < 100) await new Promise((resolve) => setImmediate(resolve));
  await store.forget("ann");
  assert.ok((running.metrics.rebuild?.lsn ?? 0) < 3000, "it was under way");
  const savedBefore = states.length;
  await rebuilding;
  await running.whenCaughtUp();
  assert.is(running.state.length, 3000);
  assert.not.ok(running.state.includes("Ann"));
  assert.ok(states.length > savedBefore);
  assert.not.ok(states.slice(savedBefore).some((state) => state.includes("Ann")));
  await store.close();
});

test("what another process rebuilt before the subject was forgotten is removed, and not gone over to", async () => {
  const store = await opened();
  await name(store, "Ann", "ann");
  await name(store, "nobody");
  await rebuildProjection(directory, names, { encryption: { key: keyOf(1), subjectKeys } });
  const ready = join(directory, "projections", "names", "v1.ready");
  const kept = readFileSync(ready);
  await store.forget("ann");
  assert.not.ok(existsSync(ready));
  writeFileSync(ready, kept);
  const running = await store.project(names, { onReport: () => {} });
  await running.whenCaughtUp();
  assert.equal(running.state, ["nobody"]);
  assert.not.ok(existsSync(ready));
  await store.close();
});

test("a paused projection drops what it has of the subject at once", async () => {
  const store = await opened();
  await name(store, "Ann", "ann");
  const running = await store.project(names, { onReport: () => {} });
  await running.whenCaughtUp();
  await running.checkpoint();
  await running.pause();
  await store.forget("ann");
  assert.equal(running.state, []);
  assert.not.ok(existsSync(checkpointOf("names")));
  await running.resume();
  await running.whenCaughtUp();
  assert.equal(running.state, []);
  await store.close();
});
