import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { GraphResults } from "../../../src/projections/graph/graph-results.js";
import { GraphState } from "../../../src/projections/graph/graph-state.js";
import { EDGE_IDS, NODE_IDS, randomHistory } from "../../model/model-history.js";
import { assert, rejects } from "../../support/assert.js";
import { firstPage } from "../../support/first-page.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { rawEvent, type TestEvent } from "./raw-events.js";

const test = suite("projections/graph/graph-results");

const random = seededRandom();

const WHOLE = { truncatedBefore: null };

/** Numbers from 0, which say how many were made and whether the maker was let go. */
function counted(count: number): { results: GraphResults<number>; seen: { made: number; open: number } } {
  const seen = { made: 0, open: 0 };
  const results = new GraphResults(WHOLE, function* () {
    seen.open += 1;
    try {
      for (let each = 0; each < count; each += 1) {
        seen.made += 1;
        yield each;
      }
    } finally {
      seen.open -= 1;
    }
  });
  return { results, seen };
}

test("nothing is made before it is asked for, and no more than is taken", () => {
  const { results, seen } = counted(1_000);
  assert.equal(seen, { made: 0, open: 0 });
  for (const each of results) if (each === 2) break;
  assert.equal(seen, { made: 3, open: 0 });
  assert.is(results.first(), 0);
  assert.equal(seen, { made: 4, open: 0 });
  const [first, second] = results;
  assert.equal([first, second, seen.open], [0, 1, 0]);
});

test("every reading begins anew, and each way of reading gives the same", async () => {
  const { results } = counted(5);
  const awaited: number[] = [];
  for await (const each of results) awaited.push(each);
  assert.equal(awaited, [0, 1, 2, 3, 4]);
  assert.equal([results.toArray(), results.count(), [...results]], [awaited, 5, awaited]);
  const none = counted(0).results;
  assert.equal([none.first(), none.count(), none.toArray()], [undefined, 0, []]);
});

test("a loop that awaits lets the event loop turn, and lets go when it is left", async () => {
  const { results, seen } = counted(Number.POSITIVE_INFINITY);
  let turns = 0;
  let isReading = true;
  const other = (async () => {
    for (; isReading; turns += 1) await nextTurn();
  })();
  for await (const _ of results) if (turns === 3) break; // without turns it would never end
  isReading = false;
  await other;
  assert.is(seen.open, 0);
});

test("a signal ends a reading where it stands, with its reason, and lets go", async () => {
  const { results, seen } = counted(100);
  const controller = new AbortController();
  const taken: number[] = [];
  const reason = new Error("enough");
  await rejects(
    async () => {
      for await (const each of results.inTurns({ signal: controller.signal })) {
        taken.push(each);
        if (each === 4) controller.abort(reason);
      }
    },
    (error) => error === reason,
  );
  assert.equal([taken.length, seen.open, seen.made], [5, 0, 5]);
  await rejects(
    () => results.inTurns({ signal: AbortSignal.abort(reason) }).next(),
    (error) => error === reason,
  );
  assert.is(seen.made, 5);
  await rejects(
    () => results.inTurns({ timeout: 1 } as never),
    (error) => error instanceof TypeError && error.message === 'inTurns: unknown option "timeout"',
  );
});

test("a stream takes no more than its reader leaves room for", async () => {
  const { results, seen } = counted(100_000);
  const stream = Readable.from(results, { highWaterMark: 4 });
  await nextTurn();
  assert.is(stream.read(), null);
  await new Promise((resolve) => stream.once("readable", resolve));
  for (let turn = 0; turn < 20; turn += 1) await nextTurn();
  assert.ok(seen.made <= 6, `made ${seen.made}`);
  const controller = new AbortController();
  await rejects(
    () =>
      pipeline(
        stream,
        async (source) => {
          for await (const each of source) if (each === 20) controller.abort();
        },
        { signal: controller.signal },
      ),
    (error) => error.name === "AbortError",
  );
  await nextTurn();
  assert.is(seen.open, 0);
});

const PEOPLE = 2_000;

/** People who know the next one, and one of them who changed often. */
function filled(): GraphState {
  const state = new GraphState({ clock: () => 10 });
  let lsn = 0;
  const put = (type: string, data: TestEvent["data"]): void => {
    lsn += 1;
    state.apply(rawEvent({ lsn, recordedAt: 10 + lsn, type, data }));
  };
  for (let id = 1; id <= PEOPLE; id += 1)
    put("NodeCreated", { id, label: "Person", properties: { n: id % 10 }, validFrom: 0 });
  for (let id = 1; id < PEOPLE; id += 1)
    put("EdgeCreated", { id, label: "KNOWS", properties: {}, source: id, target: id + 1, validFrom: 0 });
  for (let n = 0; n < 1_000; n += 1) put("NodePatched", { id: 1, properties: { n }, validFrom: n });
  return state;
}

/** How many contents were opened while `work` ran. */
function opened(state: GraphState, work: () => void): number {
  const { contents } = state.tables;
  const open = contents.open.bind(contents);
  let count = 0;
  contents.open = (reference) => {
    count += 1;
    open(reference);
  };
  try {
    work();
  } finally {
    contents.open = open;
  }
  return count;
}

test("of every question only what is taken is looked at", () => {
  const state = filled();
  const view = state.asOf({ validAt: 5 });
  const questions = {
    find: () => view.find({ label: "Person" }),
    where: () => view.find({ label: "Person", where: { n: 3 } }),
    edges: () => view.edges(2),
    traverse: () => view.traverse(1, { maxDepth: PEOPLE, nodeLabel: "Person" }),
    match: () => view.match().label("Person").out("KNOWS").rows(),
    ends: () => view.match().label("Person").out("KNOWS").ends(),
    during: () => state.during().match().from(2).both("KNOWS").rows(),
    diff: () => state.diff(state.asOf({ validAt: 5, recordedAt: { lsn: 0 } }), view),
    history: () => state.history("node", 1),
    between: () => state.chronicle.between("node", 1, { valid: { from: 5 } }),
    overlaps: () => state.chronicle.overlaps({ kind: "node", id: 1 }, { kind: "edge", id: 1 }, {}),
  };
  for (const [name, ask] of Object.entries(questions)) {
    let asked: GraphResults<unknown> | undefined;
    assert.is(
      opened(state, () => {
        asked = ask();
      }),
      0,
      name,
    );
    const few = opened(state, () => asked?.first());
    assert.ok(few <= 12, `${name}: ${few} contents for the first`);
    assert.ok((asked?.count() ?? 0) >= 2, name);
  }
});

test("the answers are those of the instant of the question, whatever is written while they are read", () => {
  const history = randomHistory(random, 160, (time) => time).filter(({ type }) => type !== "GraphPurged");
  const state = new GraphState({ clock: () => 1_000 });
  const fresh = (): GraphState => {
    const other = new GraphState({ clock: () => 1_000 });
    for (const event of history.slice(0, 60)) other.apply(rawEvent(event));
    return other;
  };
  for (const event of history.slice(0, 60)) state.apply(rawEvent(event));
  const questionsOf = (of: GraphState): GraphResults<unknown>[] =>
    NODE_IDS.flatMap((id, at) => [
      ...[{}, { at: "valid" }, { at: "recorded" }, { coalesce: true }].map((how) =>
        of.history("node", id, how as object),
      ),
      of.history("edge", EDGE_IDS[at % EDGE_IDS.length] as number),
      of.chronicle.between("node", id, { recorded: { from: { lsn: 5 } } }),
      of.chronicle.overlaps({ kind: "node", id }, { kind: "node", id: NODE_IDS[0] as number }, {}),
      of.chronicle.changes({ limit: at + 1 }),
      of.during().match().from(id).both().rows(),
    ]);
  const expected = questionsOf(fresh()).map((results) => results.toArray());
  const asked = questionsOf(state);
  // Some are begun before the writes, some only behind them.
  const begun = asked.map((results, at) => {
    const iterator = results[Symbol.iterator]();
    return { iterator, first: at % 2 === 0 ? iterator.next() : null };
  });
  for (const event of history.slice(60)) state.apply(rawEvent(event));
  for (const [at, { iterator, first }] of begun.entries()) {
    const rest = first?.done === true ? [] : [...iterator];
    assert.equal(first === null || first.done === true ? rest : [first.value, ...rest], expected[at], `question ${at}`);
    assert.equal(asked[at]?.toArray(), expected[at], `question ${at}, asked again`);
  }
  assert.ok(expected.flat().length > 10);
});

test("a purge while history is read leaves out what it took, gives the rest as it was, and is told", () => {
  const state = filled();
  const whole = state.history("node", 1).toArray();
  const results = state.history("node", 1);
  const iterator = results[Symbol.iterator]();
  const begun = [iterator.next().value, iterator.next().value, iterator.next().value];
  const pairs = state.chronicle.overlaps({ kind: "node", id: 1 }, { kind: "node", id: 2 }, {});
  const expectedPairs = pairs.toArray();
  const ofPairs = pairs[Symbol.iterator]();
  const firstPair = ofPairs.next().value;
  const rows = state.during().match().from(1).out("KNOWS").rows();
  const expectedRows = rows.toArray();
  const ofRows = rows[Symbol.iterator]();
  const firstRow = ofRows.next().value;
  assert.is(results.truncatedBefore, null);
  const horizon = state.recordedAt - 500;
  state.apply(
    rawEvent({
      lsn: state.lsn + 1,
      recordedAt: state.recordedAt,
      type: "GraphPurged",
      data: { recordedBefore: horizon },
    }),
  );
  const left = whole.filter(({ recordedTo }) => recordedTo === null || recordedTo > horizon);
  const rest = [...iterator];
  assert.equal(
    rest,
    left.filter(({ lsn }) => !begun.some((each) => each?.lsn === lsn)),
  );
  assert.is(results.truncatedBefore, horizon);
  assert.ok(rest.length > 0 && left.length < whole.length);
  // What is in force is there, wherever its properties were moved.
  assert.equal([firstPair, ...ofPairs], expectedPairs);
  assert.equal([firstRow, ...ofRows], expectedRows);
});

test("changes are pages up to the instant of the question, each with the cursor to go on from", () => {
  const state = filled();
  const all = firstPage(state.chronicle.changes({ limit: 100_000 })).changes;
  const pages = state.chronicle.changes({ limit: 7 });
  const gathered = [];
  for (const page of pages) {
    gathered.push(...page.changes);
    assert.ok(page.changes.length >= 7 || !page.hasMore);
    // Another process goes on from here.
    assert.equal(
      firstPage(state.chronicle.changes({ after: page.next, limit: 2 })).changes,
      all.slice(gathered.length, gathered.length + 2),
    );
    if (gathered.length > 100) break;
  }
  assert.equal(gathered, all.slice(0, gathered.length));
  state.apply(rawEvent({ lsn: state.lsn + 1, recordedAt: 1e6, type: "NodePatched", data: { id: 9, properties: {} } }));
  assert.equal(
    pages.toArray().flatMap(({ changes }) => changes),
    all,
  );
  const last = pages.toArray().at(-1);
  assert.equal([last?.hasMore, last?.next], [false, state.lsn - 1]);
  assert.is(firstPage(state.chronicle.changes({ after: last?.next ?? 0 })).changes.length, 1);
});

test("many pages do not cost a look at the whole graph each", () => {
  const state = filled();
  const { timelines } = state.tables.nodes;
  const eachChange = timelines.eachChange.bind(timelines);
  let looks = 0;
  timelines.eachChange = (...asked) => {
    looks += 1;
    eachChange(...asked);
  };
  const pages = state.chronicle.changes({ limit: 10 });
  assert.is(looks, 0);
  pages.first();
  assert.is(looks, 1);
  const count = pages.count();
  assert.ok(count >= 490 && looks < 12, `${looks} looks for ${count} pages`);
});
