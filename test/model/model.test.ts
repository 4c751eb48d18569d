/** The graph against the naive model, in short. `npm run model` is the whole of it. */

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Chronicle } from "../../src/projections/graph/chronicle.js";
import { GraphResults } from "../../src/projections/graph/graph-results.js";
import { GraphState } from "../../src/projections/graph/graph-state.js";
import { GraphView } from "../../src/projections/graph/graph-view.js";
import type { TestEvent } from "../projections/graph/raw-events.js";
import { assert } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { runLineage } from "./lineage-run.js";
import { type ModelStep, randomSteps } from "./model-history.js";
import { runHistory } from "./model-run.js";
import { findingOf } from "./shrunk.js";
import { runStoreHistory } from "./store-history.js";

const test = suite("model");

const HISTORIES = 100;
const STORE_STEPS = 20;
const WRONG_HISTORIES_MAX = 200;
const random = seededRandom();
const MODEL = fileURLToPath(new URL("model.js", import.meta.url));

test("every query answers as the naive model does, on random histories with checkpoints, purges and clocks set back", () => {
  for (let round = 0; round < HISTORIES; round += 1) {
    const steps = randomSteps(random);
    const seed = random.integer(2 ** 31);
    const finding = findingOf(steps, seed);
    assert.is(finding, null, finding === null ? "" : `${finding.message}\n${finding.history}`);
  }
});

test("so does lineage: which event made a value is what going back over all events says", async () => {
  let compared = 0;
  for (let round = 0; round < HISTORIES; round += 1) {
    compared += await runLineage(randomSteps(random), random.integer(2 ** 31));
  }
  assert.ok(compared > HISTORIES * 10);
});

test("so does the graph of a store that is checkpointed, closed, opened again and replayed", async () => {
  const { compared } = await runStoreHistory(random.integer(2 ** 31), 0, STORE_STEPS);
  assert.ok(compared > 1000);
});

/** Changes some of the events that a wrong graph would take otherwise. */
type Change = (event: TestEvent) => TestEvent;

const WRONG: Readonly<Record<string, Change>> = {
  "patches replace": (event) => ({ ...event, type: event.type.replace("Patched", "Replaced") }),
  "a null in a patch is kept": (event) => (event.type.endsWith("Patched") ? withoutNulls(event) : event),
  "puts begin late": (event) => shifted(event, "Put", "validFrom", 1),
  "deletions end early": (event) => shifted(event, "Deleted", "validTo", -1),
  "corrections end late": (event) => shifted(event, "Replaced", "validTo", 1),
  "retractions end": (event) =>
    event.type.endsWith("Retracted")
      ? { ...event, type: event.type.replace("Retracted", "Deleted"), data: { ...event.data, validFrom: 0 } }
      : event,
  "detach is forgotten": (event) => ({
    ...event,
    data: { ...event.data, ...("detach" in event.data && { detach: false }) },
  }),
  "time runs backwards": (event) => ({ ...event, recordedAt: -event.recordedAt }),
  "purges take too much": (event) => purged(event, 1),
  "purges take too little": (event) => purged(event, -1),
  "constraints bind nobody": (event) =>
    event.type === "GraphConstraintAdded" ? { ...event, type: "GraphConstraintRemoved" } : event,
  "constraints bind no edge": (event) =>
    event.type === "GraphConstraintAdded" && event.data["entity"] === "edge"
      ? { ...event, data: { ...event.data, entity: "node" } }
      : event,
  "of several properties one counts": (event) =>
    event.type === "GraphConstraintAdded" && Array.isArray(event.data["property"])
      ? { ...event, data: { ...event.data, property: event.data["property"][0] } }
      : event,
  "constraints stay": (event) =>
    event.type === "GraphConstraintRemoved" ? { ...event, type: "GraphConstraintAdded" } : event,
  "expected versions are not heeded": (event) => withoutVersions(event),
  "an upsert asserts as a put does": (event) => {
    const { key, ...data } = event.data;
    return event.type === "NodeUpserted" ? { ...event, type: "NodePut", data } : event;
  },
  "a batch loses its last item": (event) => {
    const items = event.data["items"] as readonly unknown[] | undefined;
    return items === undefined || items.length < 2 ? event : { ...event, data: { items: items.slice(0, -1) } };
  },
  "a batch goes backwards": (event) => {
    const items = event.data["items"] as readonly unknown[] | undefined;
    return items === undefined ? event : { ...event, data: { items: items.toReversed() } };
  },
};

for (const [what, change] of Object.entries(WRONG)) {
  test(`the comparison notices when ${what}`, () => {
    for (let round = 0; round < WRONG_HISTORIES_MAX; round += 1) {
      if (!holds(randomSteps(random), change)) return;
    }
    assert.unreachable(`${WRONG_HISTORIES_MAX} histories look right`);
  });
}

/** Queries that answer something else, each put in the place of the graph's own. */
const WRONG_ANSWERS: Readonly<Record<string, () => () => void>> = {
  "stretches of time ignore the recorded one": () =>
    replaced(
      GraphState.prototype,
      "during",
      (during) =>
        function (this: GraphState, { valid = {} } = {}) {
          return during.call(this, { valid });
        },
    ),
  "overlaps lose their first": () =>
    replaced(
      Chronicle.prototype,
      "overlaps",
      (overlaps) =>
        function (this: Chronicle, ...parameters) {
          const found = overlaps.apply(this, parameters);
          return new GraphResults(found, () => withoutFirst(found)) as never; // its types are those of the parameters
        },
    ),
  "an order loses its first": () =>
    replaced(
      GraphView.prototype,
      "find",
      (find) =>
        function (this: GraphView, query) {
          const found = find.call(this, query);
          return query.orderBy === undefined ? found : new GraphResults(found, () => withoutFirst(found));
        },
    ),
  "a named point is the present": () =>
    replaced(
      GraphState.prototype,
      "snapshot",
      () =>
        function (this: GraphState) {
          return this.asOf();
        },
    ),
};

for (const [what, replace] of Object.entries(WRONG_ANSWERS)) {
  test(`the comparison notices when ${what}`, () => {
    const restore = replace();
    try {
      for (let round = 0; round < WRONG_HISTORIES_MAX; round += 1) {
        if (!holds(randomSteps(random), (event) => event)) return;
      }
      assert.unreachable(`${WRONG_HISTORIES_MAX} histories look right`);
    } finally {
      restore();
    }
  });
}

/** Puts another method in the place of one; gives what puts it back. */
function* withoutFirst<Item>(items: Iterable<Item>): Generator<Item, void, undefined> {
  const iterator = items[Symbol.iterator]();
  iterator.next();
  for (let each = iterator.next(); each.done !== true; each = iterator.next()) yield each.value;
}

function replaced<Self, Name extends keyof Self>(
  prototype: Self,
  name: Name,
  other: (method: Self[Name]) => Self[Name],
): () => void {
  const method = prototype[name];
  prototype[name] = other(method);
  return () => {
    prototype[name] = method;
  };
}

test("what differs is made as small as it goes, and is the same each time", () => {
  const change = WRONG["patches replace"] as Change;
  let steps: ModelStep[] = [];
  do steps = randomSteps(random);
  while (holds(steps, change));
  const finding = findingOf(steps, 0, change);
  const lines = finding?.history.split("\n") ?? [];
  // A node, and a patch of what it has; an edge wants its two ends besides.
  assert.ok(lines.length >= 2 && lines.length <= 4, finding?.history);
  assert.ok(lines.some((line) => line.includes("Patched")));
  assert.equal(findingOf(steps, 0, change), finding);
});

test("the command says what it compared, and explains itself", () => {
  const run = (...parameters: string[]): string =>
    spawnSync(process.execPath, [MODEL, ...parameters], { encoding: "utf8" }).stdout;
  assert.match(
    run("--histories", "5", "--seed", "3", "--stores", "0"),
    /^seed 3: 5 histories and 0 in stores, \d+ events, \d+ answers compared in [\d.]+ s: all equal\n$/,
  );
  assert.match(run("--help"), /--histories N/);
});

function holds(steps: readonly ModelStep[], change: Change): boolean {
  try {
    runHistory(steps, 0, "some", change);
    return true;
  } catch {
    return false;
  }
}

function withoutNulls(event: TestEvent): TestEvent {
  const given = Object.entries((event.data["properties"] as object | undefined) ?? {});
  const properties = Object.fromEntries(given.filter(([, value]) => value !== null));
  return { ...event, data: { ...event.data, properties } };
}

function withoutVersions(event: TestEvent): TestEvent {
  const { expectedVersion, ...data } = event.data;
  return { ...event, data };
}

function shifted(event: TestEvent, type: string, bound: "validFrom" | "validTo", by: number): TestEvent {
  const { validFrom, validTo } = event.data as { validFrom?: number; validTo?: number };
  if (!event.type.endsWith(type) || validFrom === undefined || validTo === undefined) return event;
  const time = (bound === "validFrom" ? validFrom : validTo) + by;
  const isPeriod = validTo - validFrom > 1 && Number.isSafeInteger(time);
  return isPeriod ? { ...event, data: { ...event.data, [bound]: time } } : event;
}

function purged(event: TestEvent, by: number): TestEvent {
  if (event.type !== "GraphPurged") return event;
  return { ...event, data: { recordedBefore: (event.data["recordedBefore"] as number) + by } };
}
