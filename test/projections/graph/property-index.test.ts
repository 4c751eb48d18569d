import { type Graph, openReader, openStore } from "../../../src/index.js";
import { encodeGraphEvent } from "../../../src/projections/graph/graph-event-codec.js";
import { GraphState } from "../../../src/projections/graph/graph-state.js";
import { KEYS, NODE_LABELS, randomHistory, VALUES as STORED_VALUES } from "../../model/model-history.js";
import { assert, rejects } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";
import { rawEvent, rawPayload, type TestEvent } from "./raw-events.js";

const test = suite("projections/graph/property-index");

const VALUES = [...STORED_VALUES, "never"];
const LENGTH = 60;
const FIRST_TIME = -4;
const LAST_TIME = 24;
const isTypeError = (error: Error): boolean => error instanceof TypeError;

function applied(state: GraphState, events: readonly TestEvent[]): GraphState {
  for (const event of events) state.apply(rawEvent(event));
  return state;
}

/** What is found at every point, by id: without an index the order is another one. */
function everythingFound(state: GraphState): unknown[] {
  const answers: unknown[] = [];
  for (let lsn = 0; lsn <= state.lsn; lsn += 7) {
    for (let validAt = FIRST_TIME; validAt <= LAST_TIME; validAt += 3) {
      const view = state.asOf({ validAt, recordedAt: { lsn } });
      for (const label of NODE_LABELS) {
        for (const key of KEYS) {
          for (const value of VALUES) {
            const where = Object.fromEntries([[key, value]]);
            const found = [...view.find({ label, where })].sort((a, b) => a.id - b.id);
            if (found.length > 0) answers.push([lsn, validAt, label, key, value, found]);
          }
        }
      }
    }
  }
  return answers;
}

/** Builds all indexes, so many nodes at a time. */
function indexAll(state: GraphState, slotCountMax: number): void {
  for (const label of NODE_LABELS) {
    for (const key of KEYS) while (!state.buildIndex({ label, property: key }, slotCountMax));
  }
}

test("with an index the same is found at every time as without one", () => {
  for (let seed = 1; seed <= 8; seed += 1) {
    const history = randomHistory(seededRandom(seed), LENGTH, (time) => time);
    const clock = (): number => 0;
    const plain = everythingFound(applied(new GraphState({ clock }), history));
    assert.ok(plain.length > 0, `seed ${seed} finds something`);

    const fromTheStart = new GraphState({ clock });
    indexAll(fromTheStart, 1);
    assert.equal(everythingFound(applied(fromTheStart, history)), plain, `seed ${seed}, kept from the start`);

    const fromTheEnd = applied(new GraphState({ clock }), history);
    indexAll(fromTheEnd, 2);
    assert.equal(everythingFound(fromTheEnd), plain, `seed ${seed}, built at the end`);

    // Half built while half of the events are still to come.
    const between = applied(new GraphState({ clock }), history.slice(0, LENGTH / 2));
    for (const label of NODE_LABELS) for (const key of KEYS) between.buildIndex({ label, property: key }, 2);
    applied(between, history.slice(LENGTH / 2));
    indexAll(between, 1);
    assert.equal(everythingFound(between), plain, `seed ${seed}, built in between`);
  }
});

test("an index outlives a purge of what it was built from", () => {
  const history = randomHistory(seededRandom(3), LENGTH, (time) => time);
  const purge = rawPayload(
    LENGTH + 1,
    LAST_TIME,
    "varve.v1.GraphPurged",
    encodeGraphEvent("varve.v1.GraphPurged", { recordedBefore: 20 }),
  );
  const indexed = applied(new GraphState({ clock: () => 0 }), history);
  indexAll(indexed, 100);
  indexed.apply(purge);
  const plain = applied(new GraphState({ clock: () => 0 }), history);
  plain.apply(purge);
  assert.ok(plain.purgedVersions > 0);
  assert.equal(everythingFound(indexed), everythingFound(plain));
});

/** Ids of the persons with that name, in the order in which they are found. */
function named(graph: Graph, name: string): number[] {
  return [...graph.asOf().find({ label: "Person", where: { name } })].map(({ id }) => id);
}

test("a store's graph finds by index what is written before and after, in the order of creation", async () => {
  const directory = temporaryDirectory();
  await using store = await openStore(directory);
  const graph = await store.graph();
  const create = async (name: string): Promise<number> =>
    (await graph.createNode({ label: "Person", properties: { name } })).id;
  const ann = await create("Ann");
  const ben = await create("Ben");
  await graph.index({ label: "Person", property: "name" });
  await graph.index({ label: "Person", property: "name" });
  assert.equal([named(graph, "Ann"), named(graph, "Ben"), named(graph, "Cid")], [[ann], [ben], []]);

  const another = await create("Ann");
  await graph.patchNode(ben, { name: "Ann" });
  assert.equal([named(graph, "Ann"), named(graph, "Ben")], [[ann, ben, another], []]);
  await graph.patchNode(ben, { name: "Ben" });
  await graph.patchNode(ben, { name: "Ann" });
  assert.equal(named(graph, "Ann"), [ann, ben, another]);

  await store.checkpoint();
  await using reader = await openReader(directory);
  const read = await reader.graph();
  await read.index({ label: "Person", property: "name" });
  assert.equal(named(read, "Ann"), [ann, ben, another]);
});

test("an index of nothing is refused", async () => {
  await using store = await openStore(temporaryDirectory());
  const graph = await store.graph();
  for (const definition of [
    null,
    {},
    { label: "", property: "a" },
    { label: "A", property: "" },
    { label: "A", property: 1 },
  ]) {
    await rejects(graph.index(definition as never), isTypeError);
  }
  await rejects(graph.index({ label: "A", property: "a", unique: true } as never), isTypeError);
});

for (const kind of ["equality", "range"] as const) {
  test(`a purge takes out of an index of kind ${kind} what only the versions held that it drops`, () => {
    const state = new GraphState({ clock: () => 1000 });
    const nodes = 50;
    const rounds = 6;
    const definition = { label: "Person", property: "n", kind };
    state.buildIndex(definition, 10);
    let lsn = 0;
    const apply = (type: string, data: TestEvent["data"]): void => {
      lsn += 1;
      state.apply(rawEvent({ type, data, lsn, recordedAt: lsn }));
    };
    for (let id = 1; id <= nodes; id += 1)
      apply("NodeCreated", { id, label: "Person", properties: { n: id }, validFrom: 0 });
    for (let round = 1; round <= rounds; round += 1)
      for (let id = 1; id <= nodes; id += 1)
        apply("NodePatched", { id, properties: { n: round * 1000 + id }, validFrom: 0 });
    state.buildIndex(definition, nodes);
    const { indexes } = state.tables;
    const unfinished = { label: "Person", property: "m", kind } as const;
    state.buildIndex(unfinished, 1);
    assert.is(indexes.of(definition).entryCount, nodes * (rounds + 1));
    const walk = state
      .asOf()
      .find({ label: "Person", where: { n: { gt: 0 } }, orderBy: "n" })
      [Symbol.iterator]();
    const given = [walk.next().value?.id];
    apply("GraphPurged", { recordedBefore: nodes * rounds });
    assert.is(
      indexes.of(definition).entryCount,
      nodes * 2,
      "of the last two rounds, the earlier of which was over behind the horizon",
    );
    apply("GraphPurged", { recordedBefore: lsn - 1 });
    assert.is(indexes.of(definition).entryCount, nodes);
    assert.ok(indexes.of(definition).of.isComplete);
    for (const { id } of walk) given.push(id);
    assert.is(given.length, nodes, "an iterator that was left lying goes on");
    const found = [...state.asOf().find({ label: "Person", where: { n: rounds * 1000 + 7 } })];
    assert.equal(
      found.map(({ id }) => id),
      [7],
    );
    while (!state.buildIndex(unfinished, 1));
    assert.is(indexes.of(unfinished).entryCount, 0);
  });
}
