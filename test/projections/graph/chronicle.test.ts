import type { EntityChange } from "../../../src/projections/graph/changed-entities.js";
import type { Chronicle, HistoryWindow } from "../../../src/projections/graph/chronicle.js";
import type { GraphNode } from "../../../src/projections/graph/entity.js";
import type { EntityKind } from "../../../src/projections/graph/graph-event-kind.js";
import { GraphState } from "../../../src/projections/graph/graph-state.js";
import { EDGE_IDS, NODE_IDS, randomHistory } from "../../model/model-history.js";
import { NaiveGraph } from "../../model/naive-graph.js";
import { assert, rejects } from "../../support/assert.js";
import { firstPage } from "../../support/first-page.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { rawEvent, type TestEvent } from "./raw-events.js";

const test = suite("projections/graph/chronicle");
const random = seededRandom();
const ROUNDS = 15;
/** Every bound of a period, what is before and what is after all. */
const POINTS = Array.from({ length: 31 }, (_, index) => index - 5);
const ENTITIES: readonly { kind: EntityKind; id: number }[] = [
  ...NODE_IDS.map((id) => ({ kind: "node" as const, id })),
  ...EDGE_IDS.map((id) => ({ kind: "edge" as const, id })),
];

interface Both {
  readonly state: GraphState;
  readonly chronicle: Chronicle;
  readonly model: NaiveGraph;
}

/** Of the graph's own events, without purges. */
function wholeHistory(length: number): TestEvent[] {
  const events = randomHistory(random, length, (time) => time).filter(({ type }) => /^(Node|Edge)/.test(type));
  return events.map((event, index) => ({ ...event, lsn: index + 1 }));
}

function contains({ validFrom, validTo, lsn, supersededBy }: GraphNode, v: number, r: number): boolean {
  const isValid = validFrom <= v && v < (validTo ?? Number.POSITIVE_INFINITY);
  return isValid && lsn <= r && r < (supersededBy ?? Number.POSITIVE_INFINITY);
}

function some(length = 40, history: readonly TestEvent[] = wholeHistory(length)): Both {
  const state = new GraphState({ clock: () => -1000 });
  const model = new NaiveGraph();
  for (const event of history) {
    state.apply(rawEvent(event));
    model.apply(event);
  }
  return { state, chronicle: state.chronicle, model };
}

test("versionAt is the model's value, also of an edge whose ends are not there", () => {
  for (let round = 0; round < ROUNDS; round += 1) {
    const { state, chronicle, model } = some();
    for (const { kind, id } of ENTITIES) {
      for (const validAt of POINTS) {
        const lsn = random.integer(state.lsn + 1);
        const { version, truncatedBefore } = chronicle.versionAt(kind, id, { validAt, recordedAt: { lsn } });
        assert.is(version?.lsn, model.valueAt(kind, id, validAt, lsn)?.lsn, `${kind} ${id} at (${validAt}, ${lsn})`);
        assert.is(truncatedBefore, null);
      }
    }
  }
});

test("between gives the rectangles that some point of the window lies in", () => {
  for (let round = 0; round < ROUNDS; round += 1) {
    const { state, chronicle, model } = some();
    for (const { kind, id } of ENTITIES) {
      const all = state.history(kind, id).toArray();
      const from = random.pick(POINTS);
      const to = from + 1 + random.integer(8);
      const valid = { from, ...random.pick([{}, { to }, { to: null }]) };
      const inValid = (v: number) => v >= from && v < (valid.to ?? Number.POSITIVE_INFINITY);
      const firstLsn = random.integer(state.lsn);
      const lastLsn = firstLsn + 1 + random.integer(state.lsn - firstLsn);
      const recorded = { from: { lsn: firstLsn }, to: { lsn: lastLsn } };
      const lsns = Array.from({ length: lastLsn - firstLsn }, (_, index) => firstLsn + index);
      const everyLsn = Array.from({ length: state.lsn + 1 }, (_, index) => index);
      const expected = (points: readonly number[], instants: readonly number[]) =>
        all.filter((each) => points.some((v) => instants.some((r) => contains(each, v, r))));
      const found = (window: HistoryWindow) => [...chronicle.between(kind, id, window)];
      assert.equal(found({ valid }), expected(POINTS.filter(inValid), everyLsn));
      assert.equal(found({ recorded }), expected(POINTS, lsns));
      assert.equal(found({ valid, recorded }), expected(POINTS.filter(inValid), lsns));
      const times = { from: random.integer(22), to: 23 };
      const inTimes = everyLsn.filter(
        (lsn) => lsn > 0 && model.timeOf(lsn) >= times.from && model.timeOf(lsn) < times.to,
      );
      const instants = [model.lsnAt(times.from), ...inTimes];
      assert.equal(found({ recorded: times }), expected(POINTS, instants));
      assert.equal(found({ recorded: { to: null } }), [...all]);
    }
  }
});

test("two entities overlap where, point by point, both are visible, and with what they held there", () => {
  let found = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const { state, chronicle, model } = some(60);
    for (const a of ENTITIES) {
      const b = random.pick(ENTITIES);
      const lsn = random.integer(state.lsn + 1);
      const overlaps = chronicle.overlaps(a, b, { recordedAt: { lsn } }).toArray();
      found += overlaps.length;
      for (const [index, each] of overlaps.entries()) {
        assert.ok(each.validFrom < (each.validTo ?? Number.POSITIVE_INFINITY));
        const before = overlaps[index - 1];
        if (before !== undefined) {
          assert.ok((before.validTo ?? Number.POSITIVE_INFINITY) <= each.validFrom);
          const changed = before.a.lsn !== each.a.lsn || before.b.lsn !== each.b.lsn;
          const same = before.a.validFrom === each.a.validFrom && before.b.validFrom === each.b.validFrom;
          assert.ok(before.validTo !== each.validFrom || changed || !same, "a seam where nothing changes");
        }
      }
      for (const v of POINTS) {
        const holding = overlaps.filter((each) => {
          return each.validFrom <= v && v < (each.validTo ?? Number.POSITIVE_INFINITY);
        });
        const values = [a, b].map(({ kind, id }) => model.visibleAt(kind, id, v, lsn));
        const expected = values.every((value) => value !== null) ? [values.map((value) => value?.lsn)] : [];
        assert.equal(
          holding.map((each) => [each.a.lsn, each.b.lsn]),
          expected,
          `${JSON.stringify([a, b])} at (${v}, ${lsn})`,
        );
      }
    }
  }
  assert.ok(found > 0);
});

/** By looking at every point before and after each LSN. */
function changesOf({ model }: Both, after: number, through: number): string[] {
  const changes: string[] = [];
  for (let lsn = after + 1; lsn <= through; lsn += 1) {
    for (const { kind, id } of ENTITIES) {
      const values = POINTS.map((v) => [model.valueAt(kind, id, v, lsn - 1), model.valueAt(kind, id, v, lsn)]);
      const asserted = values.some(([, now]) => now?.lsn === lsn);
      if (asserted) changes.push(`${lsn} ${kind} ${id} asserted`);
      else if (values.some(([old, now]) => old && !now)) changes.push(`${lsn} ${kind} ${id} deleted`);
    }
  }
  return changes;
}

const textOf = ({ lsn, kind, id, change }: EntityChange) => `${lsn} ${kind} ${id} ${change}`;

test("changes are what differs from one LSN to the next, whole LSNs at a time, and go on where a page ended", () => {
  for (let round = 0; round < ROUNDS; round += 1) {
    const both = some();
    const { chronicle, state, model } = both;
    const expected = changesOf(both, 0, state.lsn);
    const whole = firstPage(chronicle.changes({}));
    // Within an LSN the first created comes first, which the model does not know.
    assert.equal(whole.changes.map(textOf).sort(), expected.toSorted());
    assert.equal([whole.next, whole.hasMore, whole.truncatedBefore], [state.lsn, false, null]);
    for (const [index, each] of whole.changes.entries()) {
      assert.ok(index === 0 || (whole.changes[index - 1]?.lsn ?? 0) <= each.lsn);
      assert.is(each.recordedAt, model.timeOf(each.lsn));
    }
    const limit = 1 + random.integer(5);
    const paged: EntityChange[] = [];
    for (let after = 0, more = true; more; ) {
      const page = firstPage(chronicle.changes({ after, limit }));
      assert.ok(!page.hasMore || page.changes.length >= limit);
      assert.ok(new Set(page.changes.slice(limit - 1).map(({ lsn }) => lsn)).size <= 1);
      paged.push(...page.changes);
      after = page.next;
      more = page.hasMore;
    }
    assert.equal(paged, [...whole.changes]);
    const from = random.integer(10);
    const to = from + 1 + random.integer(10);
    const window = firstPage(chronicle.changes({ recordedFrom: from, recordedTo: to }));
    assert.equal(
      window.changes,
      whole.changes.filter(({ recordedAt }) => recordedAt >= from && recordedAt < to),
    );
    assert.equal(firstPage(chronicle.changes({ after: state.lsn })).changes, []);
    const fresh = firstPage(chronicle.changes({ after: window.next, recordedTo: to }));
    assert.equal([fresh.changes, fresh.next >= window.next], [[], true]);
  }
});

test("a page stays small while it looks at thousands of changes", () => {
  const state = new GraphState();
  for (let lsn = 1; lsn <= 6000; lsn += 1) {
    const data = { id: 6001 - lsn, label: "Person", validFrom: 0 };
    state.apply(rawEvent({ lsn, recordedAt: lsn, type: "NodeCreated", data }));
  }
  const { chronicle } = state;
  const page = firstPage(chronicle.changes({ limit: 10 }));
  assert.equal(page.changes.map(({ lsn, id }) => [lsn, id]).slice(-1), [[10, 5991]]);
  assert.equal([page.changes.length, page.next, page.hasMore], [10, 10, true]);
  assert.is(firstPage(chronicle.changes({ after: 10, limit: 4000 })).changes.length, 4000);
});

test("times and LSNs translate into each other as views do", () => {
  const { chronicle, state, model } = some();
  for (let lsn = 1; lsn <= state.lsn; lsn += 1) assert.is(chronicle.recordedAtOf(lsn), model.timeOf(lsn));
  for (const time of POINTS) {
    assert.is(chronicle.lsnAt(time), state.asOf({ recordedAt: time }).lsn);
    assert.is(chronicle.lsnAt(time), model.lsnAt(time));
  }
  assert.is(chronicle.recordedAtOf(0), null);
});

test("bad input is refused by name or code", async () => {
  const { chronicle, state } = some();
  const period = "ERR_GRAPH_INVALID_PERIOD";
  for (const work of [
    () => chronicle.between("node", 1, { valid: { from: 5, to: 5 } }).toArray(),
    () => chronicle.between("node", 1, { recorded: { from: 7, to: 5 } }).toArray(),
    () => chronicle.between("node", 1, { recorded: { from: { lsn: 3 }, to: { lsn: 3 } } }).toArray(),
    () => chronicle.between("node", 1, { valid: { from: 2 ** 53 } }).toArray(),
    () => firstPage(chronicle.changes({ recordedFrom: 4, recordedTo: 4 })),
    () => firstPage(chronicle.changes({ recordedFrom: 0.5 })),
    () => chronicle.lsnAt(Number.NaN),
    () => chronicle.versionAt("node", 1, { validAt: Number.POSITIVE_INFINITY }),
  ]) {
    await rejects(work, period);
  }
  const later = { lsn: state.lsn + 1 };
  for (const work of [
    () => chronicle.between("node", 1, { recorded: { from: later } }).toArray(),
    () => firstPage(chronicle.changes({ after: later.lsn })),
    () => chronicle.recordedAtOf(later.lsn),
    () => chronicle.versionAt("node", 1, { recordedAt: later }),
    () => chronicle.overlaps({ kind: "node", id: 1 }, { kind: "node", id: 2 }, { recordedAt: later }).toArray(),
  ]) {
    await rejects(work, (error) => error instanceof RangeError && error.message.includes("was not applied yet"));
  }
  const wrong = "tree" as EntityKind;
  for (const [work, message] of [
    [() => chronicle.between("node", 1, {}).toArray(), "between: say which window, valid or recorded"],
    [() => chronicle.between("node", 0, { valid: {} }).toArray(), "id must be a positive safe integer, not 0"],
    [() => chronicle.between(wrong, 1, { valid: {} }).toArray(), 'kind must be "node" or "edge"'],
    [() => chronicle.versionAt(wrong, 1, {}), 'kind must be "node" or "edge"'],
    [() => chronicle.versionAt("node", 1, { at: 1 } as object), 'versionAt: unknown option "at"'],
    [
      () => chronicle.overlaps({ kind: "node", id: 1 }, { kind: wrong, id: 1 }, {}).toArray(),
      'kind must be "node" or "edge"',
    ],
    [() => firstPage(chronicle.changes({ limit: 0 })), "limit must be a positive safe integer, not 0"],
    [() => firstPage(chronicle.changes({ limit: 100_001 })), "limit must be at most 100000"],
    [() => firstPage(chronicle.changes({ after: -1 })), "after must be a positive safe integer, not -1"],
    [() => firstPage(chronicle.changes({ since: 1 } as object)), 'changes: unknown option "since"'],
  ] as const) {
    await rejects(work, (error) => error instanceof TypeError && error.message === message);
  }
});

test("after a purge, what looks behind the horizon says so, and what does not is as before", () => {
  const history: TestEvent[] = [
    { lsn: 1, recordedAt: 10, type: "NodeCreated", data: { id: 1, label: "Person", validFrom: 0 } },
    { lsn: 2, recordedAt: 20, type: "NodePatched", data: { id: 1, properties: { a: 1 }, validFrom: 0 } },
    { lsn: 3, recordedAt: 30, type: "NodePatched", data: { id: 1, properties: { a: 2 }, validFrom: 0 } },
  ];
  const { chronicle: whole } = some(0, history);
  const { chronicle } = some(0, [
    ...history,
    { lsn: 4, recordedAt: 40, type: "GraphPurged", data: { recordedBefore: 25 } },
  ]);
  const node = { kind: "node", id: 1 } as const;
  for (const truncatedBefore of [
    chronicle.versionAt("node", 1, { recordedAt: 15, validAt: 1 }).truncatedBefore,
    chronicle.between("node", 1, { valid: { from: 0, to: 5 } }).truncatedBefore,
    chronicle.between("node", 1, { recorded: { from: 15, to: 22 } }).truncatedBefore,
    chronicle.between("node", 1, { recorded: { from: { lsn: 1 } } }).truncatedBefore,
    chronicle.overlaps(node, node, { recordedAt: { lsn: 1 } }).truncatedBefore,
    firstPage(chronicle.changes({})).truncatedBefore,
    firstPage(chronicle.changes({ after: 1 })).truncatedBefore,
  ]) {
    assert.is(truncatedBefore, 25);
  }
  const recorded = { from: 25, to: 35 };
  assert.equal(chronicle.between("node", 1, { recorded }).toArray(), whole.between("node", 1, { recorded }).toArray());
  assert.is(chronicle.between("node", 1, { recorded }).truncatedBefore, null);
  assert.equal(firstPage(chronicle.changes({ after: 2 })).changes, firstPage(whole.changes({ after: 2 })).changes);
  assert.is(firstPage(chronicle.changes({ after: 2 })).truncatedBefore, null);
  assert.is(chronicle.versionAt("node", 1, { recordedAt: 25, validAt: 1 }).truncatedBefore, null);
});
