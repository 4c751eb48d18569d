/** The graph's checkpoint as it comes to lie on disk: the whole and what changed since, and what damage to any of it costs. */

import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { openReader, openStore } from "../../../src/index.js";
import { CheckpointDirectory } from "../../../src/projections/checkpoint-directory.js";
import { CheckpointKeeper } from "../../../src/projections/checkpoint-keeper.js";
import { type PartChain, readState, type StateReading } from "../../../src/projections/checkpoint-parts.js";
import { GRAPH_PROJECTION } from "../../../src/projections/graph/graph-projection.js";
import { GraphState } from "../../../src/projections/graph/graph-state.js";
import type { RawEvent } from "../../../src/projections/graph/raw-event.js";
import { Track } from "../../../src/projections/track.js";
import { randomHistory } from "../../model/model-history.js";
import { assert, rejects, sameBytes } from "../../support/assert.js";
import { spoilFiles } from "../../support/failing-files.js";
import { type SeededRandom, seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";
import { rawEvent } from "./raw-events.js";

const test = suite("projections/graph/checkpoint-parts");
const FILE = `v${GRAPH_PROJECTION.version}.checkpoint`;

/** A graph that events are applied to and that is saved, without a store. */
class SavedGraph {
  readonly directory: CheckpointDirectory;
  readonly file: string;
  track: Track<GraphState, RawEvent>;
  keeper: CheckpointKeeper<GraphState, RawEvent>;

  constructor(storeDirectory: string, start: StateReading<GraphState> | null = null) {
    this.directory = new CheckpointDirectory(storeDirectory, "graph");
    this.file = this.directory.fileOf(GRAPH_PROJECTION.version);
    const reading = start?.reading.kind === "usable" ? start.reading : null;
    const zero = { state: GRAPH_PROJECTION.init(), lsn: 0, witness: null, skippedEvents: 0, parked: [] };
    const from = reading === null ? zero : { ...reading.facts, state: reading.state };
    this.track = new Track(GRAPH_PROJECTION, from, "stop", () => undefined);
    this.keeper = this.#keeper(start?.chain ?? null);
  }

  #keeper(chain: PartChain | null): CheckpointKeeper<GraphState, RawEvent> {
    const { directory, track, file } = this;
    const parts = { storeId: null, ciphers: null, savedLsn: track.lsn, otherFiles: [], everyEvents: 1_000_000 };
    return new CheckpointKeeper({ ...parts, directory, track, file, chain });
  }

  apply(events: readonly RawEvent[]): void {
    for (let at = 0; at < events.length; ) at = this.track.apply(events, at, Number.POSITIVE_INFINITY);
  }

  get bytes(): Buffer {
    return bytesOf(this.track.state);
  }

  get partNumbers(): number[] {
    const names = readdirSync(this.directory.path).flatMap((name) => /\.part(\d+)\.checkpoint$/.exec(name)?.[1] ?? []);
    return names.map(Number).sort((a, b) => a - b);
  }

  part(number: number): string {
    return number === 0 ? this.file : join(this.directory.path, FILE.replace(".check", `.part${number}.check`));
  }
}

function bytesOf(state: GraphState): Buffer {
  return Buffer.concat(Array.from(state.encode(), (piece) => Buffer.from(piece)));
}

function read(graph: SavedGraph): Promise<StateReading<GraphState>> {
  return readState(graph.file, GRAPH_PROJECTION, async () => null, null);
}

async function readUsable(graph: SavedGraph): Promise<{ state: GraphState; found: StateReading<GraphState> }> {
  const found = await read(graph);
  if (found.reading.kind !== "usable") throw new Error(JSON.stringify(found.reading));
  return { state: found.reading.state, found };
}

const STILL_NODES = 600;

/** Nodes that nothing happens to, so that the whole is large, and then a random history. */
function history(random: SeededRandom, length: number, isPurged = true): RawEvent[] {
  const still = Array.from({ length: STILL_NODES }, (_, index) => {
    const data = { id: 1000 + index, label: "Still", properties: { text: `number ${index}` }, validFrom: 0 };
    return rawEvent({ lsn: index + 1, recordedAt: 0, type: "NodePut", data });
  });
  const events = randomHistory(random, length, (time) => time).filter(({ type }) => isPurged || type !== "GraphPurged");
  return still.concat(events.map((event) => rawEvent({ ...event, lsn: event.lsn + STILL_NODES })));
}

/** Saved whole, then three times what changed. `states[n]` is what the whole and n parts hold. */
async function inFourParts(random: SeededRandom): Promise<{ graph: SavedGraph; events: RawEvent[]; states: Buffer[] }> {
  const graph = new SavedGraph(temporaryDirectory());
  const events = history(random, 200, false);
  const states: Buffer[] = [];
  let from = 0;
  for (const to of [620, 630, 640, 650]) {
    graph.apply(events.slice(from, to));
    await graph.keeper.save();
    states.push(graph.bytes);
    from = to;
  }
  assert.equal(graph.partNumbers, [1, 2, 3]);
  return { graph, events: events.slice(from), states };
}

test("what is saved by parts at any moment is what straight replay gives, also after restarts and purges", async () => {
  const random = seededRandom();
  let partCount = 0;
  for (let round = 0; round < 8; round += 1) {
    const directory = temporaryDirectory();
    let graph = new SavedGraph(directory);
    const straight = new GraphState();
    const events = history(random, 300);
    for (let from = 0; from < events.length; ) {
      const to = from + 1 + random.integer(random.integer(3) === 0 ? 200 : 15);
      graph.apply(events.slice(from, to));
      for (const event of events.slice(from, to)) straight.apply(event);
      from = to;
      if (random.integer(3) === 0) continue;
      await graph.keeper.save();
      partCount += graph.partNumbers.length;
      const { state, found } = await readUsable(graph);
      sameBytes(bytesOf(state), bytesOf(straight));
      assert.equal(found.refused, []);
      if (random.integer(3) === 0) graph = new SavedGraph(directory, found);
    }
    sameBytes(graph.bytes, bytesOf(straight));
  }
  assert.ok(partCount > 10, `${partCount} parts were written`);
});

test("a large graph of whose rows a few change is saved by them alone, and the whole is written again before parts come to half of it", async () => {
  const graph = new SavedGraph(temporaryDirectory());
  const events: RawEvent[] = [];
  const add = (type: string, data: Record<string, unknown>): void => {
    events.push(rawEvent({ lsn: events.length + 1, recordedAt: events.length + 1, type, data }));
  };
  // More rows than one chunk of a table has, and ids of both kinds of index.
  for (let id = 1; id <= 70_000; id += 1)
    add("NodePut", { id: id % 100 === 0 ? id + 2 ** 40 : id, label: "P", validFrom: 0 });
  graph.apply(events);
  await graph.keeper.save();
  const wholeBytes = readFileSync(graph.file).length;
  let partBytes = 0;
  for (let round = 1; round <= 17; round += 1) {
    const before = events.length;
    for (let id = 1; id <= 40; id += 1)
      add("NodePatched", { id: id * 1701 - (id % 20 === 0 ? 1 : 0), properties: { round }, validFrom: round });
    add("NodePut", { id: 100_000 + round, label: `L${round}`, validFrom: 0 });
    graph.apply(events.slice(before));
    await graph.keeper.save();
    if (round <= 16) {
      assert.is(graph.partNumbers.length, round);
      partBytes += readFileSync(graph.part(round)).length;
    }
    sameBytes(bytesOf((await readUsable(graph)).state), graph.bytes);
  }
  assert.equal(graph.partNumbers, [], "sixteen were enough");
  assert.ok(partBytes < wholeBytes / 4, `${partBytes} bytes of parts beside ${wholeBytes}`);
});

test("damage to a part costs it and those after it, never more and never silently; the next save is whole", async () => {
  const random = seededRandom();
  for (let round = 0; round < 20; round += 1) {
    const { graph, events, states } = await inFourParts(random);
    const hit = random.integer(4);
    const file = graph.part(hit);
    const bytes = readFileSync(file);
    const at = random.integer(bytes.length);
    const kind = random.pick(["flipped", "cut", "longer", "gone"]);
    if (kind === "flipped") bytes[at] = (bytes[at] as number) ^ (1 << random.integer(8));
    if (kind === "gone") rmSync(file);
    else
      writeFileSync(
        file,
        kind === "cut" ? bytes.subarray(0, at) : kind === "longer" ? Buffer.concat([bytes, Buffer.alloc(1)]) : bytes,
      );
    const found = await read(graph);
    if (hit === 0) {
      assert.is(found.reading.kind, kind === "gone" ? "absent" : "refused");
      continue;
    }
    if (found.reading.kind !== "usable") throw new Error(JSON.stringify(found.reading));
    sameBytes(bytesOf(found.reading.state), states[hit - 1] as Buffer);
    const gone = kind === "gone";
    assert.equal(
      found.refused.map((refused) => basename(refused.file)),
      gone ? [] : [basename(file)],
    );
    const again = new SavedGraph(join(graph.directory.path, "..", ".."), found);
    assert.is(again.track.lsn, found.reading.facts.lsn);
    again.apply(events);
    await again.keeper.save();
    if (!gone) assert.equal(again.partNumbers, [], "what was damaged is replaced");
    sameBytes(bytesOf((await readUsable(again)).state), again.bytes);
  }
});

test("what a crash leaves at any step of a save is the state before it or after it", async () => {
  const random = seededRandom();
  const { graph, events, states } = await inFourParts(random);
  const { path } = graph.directory;
  const before = `${path}-before`;
  cpSync(path, before, { recursive: true });
  const expect = async (bytes: Buffer | undefined): Promise<StateReading<GraphState>> => {
    const { state, found } = await readUsable(graph);
    sameBytes(bytesOf(state), bytes as Buffer);
    assert.equal(found.refused, []);
    return found;
  };
  // A part that is half written has not its name yet.
  graph.apply(events.slice(0, 5));
  await graph.keeper.save();
  const fourth = readFileSync(graph.part(4));
  rmSync(graph.part(4));
  const left = `${graph.part(4)}.0123456789abcdef.tmp`;
  writeFileSync(left, fourth.subarray(0, fourth.length / 2));
  await expect(states[3]);
  await graph.directory.removeTemporaryFiles();
  assert.not.ok(existsSync(left));
  writeFileSync(graph.part(4), fourth);
  await expect(graph.bytes);
  // The whole has replaced the former one, whose parts are still there, in part or all.
  const whole = new SavedGraph(join(path, "..", ".."), { ...(await readUsable(graph)).found, chain: null });
  whole.apply(events.slice(5, 20));
  await whole.keeper.save();
  assert.equal(whole.partNumbers, []);
  for (const left of [[1, 2, 3], [3], [1]]) {
    for (const number of left) cpSync(join(before, basename(graph.part(number))), graph.part(number));
    const found = await expect(whole.bytes);
    const next = new SavedGraph(join(path, "..", ".."), found);
    next.apply(events.slice(20, 25));
    await next.keeper.save();
    await expect(next.bytes);
    // Back to what it was.
    await new SavedGraph(join(path, "..", "..")).directory.remove(await graph.directory.all());
    whole.keeper.touch();
    await whole.keeper.save();
  }
});

test("parts of two writers that began alike are never taken for one state", async () => {
  const random = seededRandom();
  for (let round = 0; round < 10; round += 1) {
    const { graph, events } = await inFourParts(random);
    const other = new SavedGraph(join(graph.directory.path, "..", ".."), (await readUsable(graph)).found);
    let done = 0;
    for (let turn = 0; turn < 8; turn += 1) {
      const writer = random.pick([graph, other]);
      const lsn = events[done + random.integer(8)]?.lsn ?? 0;
      done += random.integer(4);
      writer.apply(events.filter((event) => event.lsn > writer.track.lsn && event.lsn <= lsn));
      await writer.keeper.save();
      const { state } = await readUsable(graph);
      assert.ok([graph.track.lsn, other.track.lsn].includes(state.lsn), `LSN ${state.lsn}`);
      const holder = [graph, other].find(({ track }) => track.lsn === state.lsn) as SavedGraph;
      sameBytes(bytesOf(state), holder.bytes);
    }
  }
});

test("a save that fails, for want of room or of a file, leaves what was, and the next one is whole", async () => {
  const random = seededRandom();
  for (const [call, errno] of [
    ["write", "ENOSPC"],
    ["sync", "EIO"],
  ] as const) {
    const { graph, events, states } = await inFourParts(random);
    const mend = await spoilFiles(`${graph.part(4)}.`, call, errno);
    const files = readdirSync(graph.directory.path);
    graph.apply(events.slice(0, 5));
    await rejects(() => graph.keeper.save(), "ERR_PROJECTION_CHECKPOINT");
    sameBytes(bytesOf((await readUsable(graph)).state), states[3] as Buffer);
    mend();
    assert.equal(readdirSync(graph.directory.path), files);
    graph.apply(events.slice(5, 9));
    await graph.keeper.save();
    assert.equal(graph.partNumbers, []);
    sameBytes(bytesOf((await readUsable(graph)).state), graph.bytes);
  }
});

test("facts that are not believed cost the parts that have them", async () => {
  const { graph, states } = await inFourParts(seededRandom());
  const newest = (await readUsable(graph)).state.lsn;
  const judge = async ({ lsn }: { readonly lsn: number }) =>
    lsn === newest ? ({ reason: "above-watermark", message: "the store is an older one" } as const) : null;
  const found = await readState(graph.file, GRAPH_PROJECTION, judge, null);
  if (found.reading.kind !== "usable") throw new Error(JSON.stringify(found.reading));
  sameBytes(bytesOf(found.reading.state), states[2] as Buffer);
  assert.equal(
    found.refused.map(({ reason }) => reason),
    ["above-watermark"],
  );
  assert.is(found.chain, null);
});

for (const isEncrypted of [false, true]) {
  test(`a store saves its graph by parts and opens by them${isEncrypted ? ", encrypted too" : ""}`, async () => {
    const directory = join(temporaryDirectory(), "store");
    const options = isEncrypted ? { encryption: { key: () => Buffer.alloc(32, 7) } } : {};
    const ids: number[] = [];
    {
      await using store = await openStore(directory, options);
      const graph = await store.graph();
      for (let count = 0; count < 60; count += 1)
        ids.push((await graph.createNode({ label: "P", properties: { text: "x".repeat(100) } })).id);
      await store.checkpoint();
      await graph.patchNode(ids[3] as number, { changed: 1 });
      await store.checkpoint();
      await graph.patchNode(ids[4] as number, { changed: 2 });
    }
    const folder = join(directory, "projections", "graph");
    assert.equal(
      readdirSync(folder).sort(),
      [FILE, FILE.replace(".c", ".part1.c"), FILE.replace(".c", ".part2.c")].sort(),
    );
    {
      await using reader = await openReader(directory, options);
      const { states } = await reader.projectionFiles("graph");
      assert.equal(
        states.map(({ kind, lag }) => [kind, lag]),
        [["checkpoint", 0]],
      );
    }
    {
      await using store = await openStore(directory, options);
      const graph = await store.graph();
      const changed = (id: number | undefined) => graph.asOf().node(id as number)?.properties["changed"];
      assert.equal(ids.slice(2, 6).map(changed), [undefined, 1, 2, undefined]);
    }
    const part = join(folder, FILE.replace(".c", ".part1.c"));
    const bytes = readFileSync(part);
    bytes[bytes.length - 30] = (bytes[bytes.length - 30] as number) ^ 1;
    writeFileSync(part, bytes);
    await using store = await openStore(directory, options);
    const graph = await store.graph();
    const changed = (id: number | undefined) => graph.asOf().node(id as number)?.properties["changed"];
    assert.equal(ids.slice(2, 6).map(changed), [undefined, 1, 2, undefined], "replayed");
  });
}
