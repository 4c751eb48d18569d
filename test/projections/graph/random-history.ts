/** Random histories of few entities and few times, so that events meet, overlap, touch and contradict each other. */

import type { SeededRandom } from "../../support/seeded-random.js";
import { FIRST_TIME, LAST_TIME } from "./naive-graph.js";
import type { TestEvent } from "./raw-events.js";

export const NODE_IDS: readonly number[] = [1, 2, 3, 4_000_000_000_000];
export const EDGE_IDS: readonly number[] = [1, 2, 3, 4, 9_007_199_254_740_991];
export const NODE_LABELS: readonly string[] = ["Person", "Place", "__proto__"];
export const EDGE_LABELS: readonly string[] = ["KNOWS", "LIVES_IN"];
export const KEYS: readonly string[] = ["name", "__proto__", "größe"];
const VALUES: readonly unknown[] = [1, 2, "a", "ä", true, false, 0.5, null];

const NODE_TYPES = ["Created", "Created", "Put", "Patched", "Patched", "Replaced", "Deleted", "Retracted"];
const EDGE_TYPES = ["Created", "Created", "Created", "Put", "Patched", "Patched", "Replaced", "Deleted", "Retracted"];

export function randomHistory(random: SeededRandom, length: number): TestEvent[] {
  const events: TestEvent[] = [];
  for (let lsn = 1; lsn <= length; lsn += 1) {
    const latest = Math.floor((lsn / length) * (LAST_TIME - 4));
    // Mostly several events of one time, and now and then a clock set back.
    const recordedAt = random.integer(5) === 0 ? random.integer(latest + 1) : latest;
    events.push({ lsn, recordedAt, ...(random.integer(2) === 0 ? nodeEvent(random) : edgeEvent(random)) });
  }
  return events;
}

function nodeEvent(random: SeededRandom): Pick<TestEvent, "type" | "data"> {
  const type = random.pick(NODE_TYPES);
  return {
    type: `Node${type}`,
    data: {
      id: random.pick(NODE_IDS),
      ...(/Created|Put/.test(type) && { label: random.pick(NODE_LABELS) }),
      ...content(random, type),
      ...(/Deleted|Retracted/.test(type) && { detach: random.integer(2) === 0 }),
    },
  };
}

function edgeEvent(random: SeededRandom): Pick<TestEvent, "type" | "data"> {
  const type = random.pick(EDGE_TYPES);
  const id = random.pick(EDGE_IDS);
  // An edge's ends follow from its id, but for one in ten.
  const turn = random.integer(10) === 0 ? 1 : 0;
  const at = EDGE_IDS.indexOf(id);
  return {
    type: `Edge${type}`,
    data: {
      id,
      ...(/Created|Put/.test(type) && {
        label: EDGE_LABELS[(at + turn) % EDGE_LABELS.length],
        source: NODE_IDS[(at + turn) % NODE_IDS.length],
        target: NODE_IDS[at === 3 ? (at + turn) % NODE_IDS.length : (at * 2 + 1) % NODE_IDS.length],
      }),
      ...content(random, type),
    },
  };
}

function content(random: SeededRandom, type: string): Record<string, unknown> {
  return {
    ...(!/Deleted|Retracted/.test(type) && { properties: properties(random, type === "Patched") }),
    ...(type !== "Retracted" && period(random)),
  };
}

function properties(random: SeededRandom, nulls: boolean): Record<string, unknown> {
  const chosen: Record<string, unknown> = Object.create(null);
  for (const key of KEYS) {
    if (random.integer(2) === 0) continue;
    chosen[key] = nulls && random.integer(3) === 0 ? null : random.pick(VALUES);
  }
  return chosen;
}

function period(random: SeededRandom): Record<string, unknown> {
  const from = FIRST_TIME + random.integer(LAST_TIME - FIRST_TIME - 1);
  const to = from + 1 + random.integer(LAST_TIME - from);
  const shape = random.integer(6);
  if (shape === 0) return {};
  if (shape === 1) return { validTo: to };
  return shape < 4 ? { validFrom: from } : { validFrom: from, validTo: to };
}
