import { join } from "node:path";
import { openStore } from "../../../src/index.js";
import { GraphState } from "../../../src/projections/graph/graph-state.js";
import { assert, rejects } from "../../support/assert.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";
import { rawEvent, type TestEvent } from "./raw-events.js";

const test = suite("projections/graph/overlap-match");

const isTypeError = (error: Error): boolean => error instanceof TypeError;

/** Ann works at Acme over [10, 30) and again from 40, Bo over [20, 50); Bo's raise is valid from 25 and recorded last. */
const EVENTS: readonly TestEvent[] = (
  [
    ["NodeCreated", { id: 1, label: "Person", properties: { name: "Ann" }, validFrom: 0 }],
    ["NodeCreated", { id: 2, label: "Person", properties: { name: "Bo", salary: 1 }, validFrom: 0 }],
    ["NodeCreated", { id: 3, label: "Company", properties: {}, validFrom: 0, validTo: 45 }],
    ["EdgeCreated", { id: 1, label: "WORKS_AT", source: 1, target: 3, validFrom: 10, validTo: 30 }],
    ["EdgeCreated", { id: 1, label: "WORKS_AT", source: 1, target: 3, validFrom: 40 }],
    ["EdgeCreated", { id: 2, label: "WORKS_AT", source: 2, target: 3, validFrom: 20, validTo: 50 }],
    ["NodePatched", { id: 2, properties: { salary: 2 }, validFrom: 25 }],
  ] as const
).map(([type, data], index) => ({ lsn: index + 1, recordedAt: 100 + index, type, data }));

function filled(): GraphState {
  const state = new GraphState({ clock: () => 1_000 });
  for (const event of EVENTS) state.apply(rawEvent(event));
  return state;
}

/** Who worked where another did at the same time, and when. */
const together = (state: GraphState, during: Parameters<GraphState["during"]>[0] = {}) =>
  Array.from(state.during(during).match().where({ name: "Ann" }).out("WORKS_AT").in("WORKS_AT"), (row) => {
    const { nodes, edges, validFrom, validTo } = row;
    return [nodes.map(({ id }) => id), edges.map(({ id }) => id), validFrom, validTo, nodes[2]?.properties["salary"]];
  });

test("a way is a row wherever all of it held at once, and anew where a part of it changes", () => {
  const state = filled();
  assert.equal(together(state), [
    [[1, 3, 2], [1, 2], 20, 25, 1],
    [[1, 3, 2], [1, 2], 25, 30, 2],
    // The company is gone at 45.
    [[1, 3, 2], [1, 2], 40, 45, 2],
  ]);
  assert.equal(
    together(state, { recordedAt: { lsn: 6 } }).map(([, , ...rest]) => rest),
    [
      [20, 30, 1],
      [40, 45, 1],
    ],
  );
  assert.equal(together(state, { recordedAt: 104 }), []);
  assert.equal(
    together(state, { valid: { from: 22, to: 26 } }).map(([, , from, to]) => [from, to]),
    [
      [22, 25],
      [25, 26],
    ],
  );
  assert.equal(together(state, { valid: { to: 20 } }), []);
  assert.is(together(state, { valid: { from: 44, to: null } }).length, 1);
});

test("a node's own conditions hold over parts of its time, ranges too, and an index changes nothing", () => {
  const state = filled();
  const rich = state
    .during()
    .match()
    .label("Person")
    .where({ salary: { gte: 2 } });
  const periods = () => Array.from(rich, ({ validFrom, validTo }) => [validFrom, validTo]);
  assert.equal(periods(), [[25, null]]);
  while (!state.buildIndex({ label: "Person", property: "salary", kind: "range" }, 10));
  assert.equal(periods(), [[25, null]]);
  const fromBo = state.during().match().from(2);
  assert.is([...fromBo.limit(1)].length, 1);
  assert.equal(
    Array.from(fromBo, ({ validFrom }) => validFrom),
    [0, 25],
  );
  assert.equal(
    Array.from(fromBo.ends(), ({ properties }) => properties["salary"]),
    [1],
  );
  assert.equal([...state.during().match().from(77)], []);
  assert.equal([...state.during().match().label("Nothing")], []);
});

test("what is applied later does not enter it, also not while rows are read", () => {
  const state = filled();
  const during = state.during();
  const rows = during.match().out("WORKS_AT")[Symbol.iterator]();
  const first = rows.next().value;
  state.apply(rawEvent({ lsn: 8, recordedAt: 200, type: "NodeRetracted", data: { id: 3, detach: true } }));
  const after = [first, ...rows];
  assert.is(after.length, 4);
  assert.equal([...during.match().out("WORKS_AT")], after);
  assert.equal([...state.during().match().out("WORKS_AT")], []);
  state.apply(rawEvent({ lsn: 9, recordedAt: 201, type: "GraphPurged", data: { recordedBefore: 200 } }));
  assert.equal([during.truncatedBefore, state.during().truncatedBefore], [200, null]);
});

test("a stretch that holds nothing, and what is no stretch, is refused", async () => {
  await using store = await openStore(join(temporaryDirectory(), "store"));
  const graph = await store.graph();
  const code = "ERR_GRAPH_INVALID_PERIOD";
  await rejects(() => graph.during({ valid: { from: 5, to: 5 } }), code);
  await rejects(() => graph.during({ valid: { from: 6, to: 5 } }), code);
  await rejects(() => graph.during({ valid: { from: 2 ** 53 } }), code);
  await rejects(() => graph.during({ valid: { to: 0.5 } }), code);
  await rejects(() => graph.during({ recordedAt: -(2 ** 53) }), code);
  await rejects(
    () => graph.during({ recordedAt: { lsn: 1 } }),
    (error) => error instanceof RangeError,
  );
  await rejects(() => graph.during({ valid: { since: 1 } as never }), isTypeError);
  await rejects(() => graph.during({ valid: null as never }), isTypeError);
  await rejects(() => graph.during({ at: 1 } as never), isTypeError);
  await rejects(() => graph.during().match().where({ a: {} }), "ERR_GRAPH_INVALID_RANGE");
});
