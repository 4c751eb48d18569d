/** Random histories of few entities and few times, so that events meet, overlap, touch and contradict each other. */

import type { PropertyValue } from "../../src/projections/graph/property.js";
import type { TestEvent } from "../projections/graph/raw-events.js";
import { batchEvent, type ChangeSource, constraintEvent, expecting, upsertEvent } from "./command-history.js";

/** Where the choices come from. */
export interface Choices {
  integer(maxExclusive: number): number;
  pick<Item>(items: readonly Item[]): Item;
}

/** One event, and what happens to the graph before it. */
export interface ModelStep {
  readonly event: TestEvent;
  /** The state goes through a checkpoint. */
  readonly reload: boolean;
  /** What was superseded so many LSNs ago goes to files, if that is enough; null: nothing does. */
  readonly moves: number | null;
  /** What the wall clock shows when the event was applied, µs: what "now" means in queries. */
  readonly clock: number;
}

export const NODE_IDS: readonly number[] = [1, 2, 3, 4_000_000_000_000];
export const EDGE_IDS: readonly number[] = [1, 2, 3, 4, 9_007_199_254_740_991];
export const NODE_LABELS: readonly string[] = ["Person", "Place", "__proto__"];
export const EDGE_LABELS: readonly string[] = ["KNOWS", "LIVES_IN"];
export const KEYS: readonly string[] = ["name", "__proto__", "größe"];
export const VALUES: readonly PropertyValue[] = [
  ...[1, 2, 0, -0, 0.5, -3, 1e300, Number.NaN, Number.NEGATIVE_INFINITY],
  // Text whose order by code point is not that by UTF-16, and text that begins alike.
  ...["", "a", "ä", "a\u0000", "abcdefg", "abcdef", "abcdeg", "abcdefg\u0000", "\u{1f600}", "\uffee"],
  ...[true, false, null, Uint8Array.of(1, 2), Uint8Array.of(1, 2, 3, 4, 5, 6, 7), new Uint8Array()],
];

const NODE_TYPES = ["Created", "Created", "Put", "Patched", "Patched", "Replaced", "Deleted", "Retracted"];
const EDGE_TYPES = ["Created", "Created", "Created", "Put", "Patched", "Patched", "Replaced", "Deleted", "Retracted"];

const SNAPSHOT_NAMES: readonly string[] = ["closing", "__proto__", "größe"];

/** Times are made of a few whole numbers: bounds of valid periods within these, and recorded times from 0 to `LAST_RECORDED`. */
const FIRST_TIME = -4;
const LAST_TIME = 24;
export const LAST_RECORDED = 20;

/** What the whole numbers stand for. Every map goes upwards. */
export type TimeScale = (time: number) => number;

const SCALES: readonly TimeScale[] = [
  // Every point is a bound of something.
  (time) => time,
  // There is room between.
  (time) => time * 1_000 + 7,
  // The outermost are the outermost that there are.
  (time) =>
    time === FIRST_TIME
      ? Number.MIN_SAFE_INTEGER
      : time === LAST_TIME
        ? Number.MAX_SAFE_INTEGER
        : time * 86_400_000_000 - 1_000_000,
];

export function randomHistory(random: Choices, length: number, scale = random.pick(SCALES)): TestEvent[] {
  const events: TestEvent[] = [];
  for (let lsn = 1; lsn <= length; lsn += 1) {
    const latest = Math.floor((lsn / length) * LAST_RECORDED);
    // Mostly several events of one time, and now and then a clock set back.
    const recordedAt = scale(random.integer(5) === 0 ? random.integer(latest + 1) : latest);
    events.push({ lsn, recordedAt, ...expecting(random, someEvent(random, scale, latest), lsn - 1) });
  }
  return events;
}

/** The same with checkpoints between, and a clock beside. */
export function randomSteps(random: Choices): ModelStep[] {
  const scale = random.pick(SCALES);
  const length = random.integer(20) === 0 ? 150 : 5 + random.integer(45);
  const events = randomHistory(random, length, scale);
  const reloads = random.integer(2) === 0 ? 0 : 1 + random.integer(3);
  const at = new Set(Array.from({ length: reloads }, () => 1 + random.integer(events.length)));
  const steps = events.map((event) => ({
    event,
    reload: at.has(event.lsn),
    clock: scale(FIRST_TIME + 1 + random.integer(LAST_TIME - FIRST_TIME - 1)),
  }));
  const movesHistory = random.integer(2) === 0;
  return steps.map((step) => ({ ...step, moves: movesHistory && random.integer(3) === 0 ? random.integer(8) : null }));
}

export function someEvent(random: Choices, scale: TimeScale, latest: number): Pick<TestEvent, "type" | "data"> {
  const shape = random.integer(32);
  if (shape === 30) return { type: "GraphSnapshotNamed", data: snapshot(random, scale) };
  if (shape === 31) return { type: "GraphSnapshotRemoved", data: { name: random.pick(SNAPSHOT_NAMES) } };
  // Of another stream's: it means nothing to the graph, but has an LSN and a time.
  if (shape === 0) return { type: "Other", data: {} };
  if (shape === 1) return { type: "GraphPurged", data: { recordedBefore: scale(random.integer(latest + 2)) } };
  const source = changeSource(random, scale);
  if (shape < 4) return constraintEvent(random, source);
  if (shape < 6) return upsertEvent(random, source);
  if (shape < 9) return batchEvent(random, source);
  return shape < 19 ? nodeEvent(random, scale) : edgeEvent(random, scale);
}

function changeSource(random: Choices, scale: TimeScale): ChangeSource {
  return {
    nodeIds: NODE_IDS,
    labels: NODE_LABELS,
    edgeLabels: EDGE_LABELS,
    keys: KEYS,
    // Few, so that keys meet.
    value: () => random.pick(random.integer(4) === 0 ? VALUES.filter((value) => value !== null) : VALUES.slice(0, 3)),
    properties: () => properties(random, true),
    period: () => period(random, scale),
    change: () => (random.integer(2) === 0 ? nodeEvent(random, scale) : edgeEvent(random, scale)),
    put: () => (random.integer(4) > 0 ? nodeEvent(random, scale, "Put") : edgeEvent(random, scale, "Put")),
  };
}

/** Now and then at an LSN that is still to come, which is refused. */
function snapshot(random: Choices, scale: TimeScale): Record<string, unknown> {
  const validAt = scale(FIRST_TIME + 1 + random.integer(LAST_TIME - FIRST_TIME - 1));
  return { name: random.pick(SNAPSHOT_NAMES), validAt, lsn: random.integer(30) };
}

function nodeEvent(
  random: Choices,
  scale: TimeScale,
  type = random.pick(NODE_TYPES),
): Pick<TestEvent, "type" | "data"> {
  return {
    type: `Node${type}`,
    data: {
      id: random.pick(NODE_IDS),
      ...(/Created|Put/.test(type) && { label: random.pick(NODE_LABELS) }),
      ...content(random, type, scale),
      ...(/Deleted|Retracted/.test(type) && { detach: random.integer(2) === 0 }),
    },
  };
}

function edgeEvent(
  random: Choices,
  scale: TimeScale,
  type = random.pick(EDGE_TYPES),
): Pick<TestEvent, "type" | "data"> {
  const id = random.pick(EDGE_IDS);
  // An edge's label and ends follow from its id, but for one in twenty, each by itself.
  const turn = (): number => (random.integer(20) === 0 ? 1 : 0);
  const at = EDGE_IDS.indexOf(id);
  const label = EDGE_LABELS[(at + turn()) % EDGE_LABELS.length];
  const source = NODE_IDS[(at + turn()) % NODE_IDS.length];
  const target = NODE_IDS[((at === 3 ? at : at * 2 + 1) + turn()) % NODE_IDS.length];
  return {
    type: `Edge${type}`,
    data: {
      id,
      ...(/Created|Put/.test(type) && { label, source, target }),
      ...content(random, type, scale),
    },
  };
}

function content(random: Choices, type: string, scale: TimeScale): Record<string, unknown> {
  return {
    ...(!/Deleted|Retracted/.test(type) && { properties: properties(random, type === "Patched") }),
    ...(type !== "Retracted" && period(random, scale)),
  };
}

function properties(random: Choices, nulls: boolean): Record<string, unknown> {
  const chosen: Record<string, unknown> = Object.create(null);
  for (const key of KEYS) {
    if (random.integer(2) === 0) continue;
    const values = random.integer(2) === 0 ? VALUES.slice(0, 3) : VALUES;
    chosen[key] = nulls && random.integer(3) === 0 ? null : random.pick(values);
  }
  return chosen;
}

function period(random: Choices, scale: TimeScale): Record<string, unknown> {
  const from = FIRST_TIME + random.integer(LAST_TIME - FIRST_TIME - 1);
  const to = from + 1 + random.integer(LAST_TIME - from);
  const shape = random.integer(6);
  if (shape === 0) return {};
  if (shape === 1) return { validTo: scale(to) };
  return shape < 4 ? { validFrom: scale(from) } : { validFrom: scale(from), validTo: scale(to) };
}
