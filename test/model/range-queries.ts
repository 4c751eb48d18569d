/** Ranges and orders beside the naive ones. */

import type { GraphView } from "../../src/projections/graph/graph-view.js";
import type { PropertyRange, RangeBound } from "../../src/projections/graph/value-range.js";
import type { Answer, Subjects } from "./compare.js";
import { type Choices, VALUES } from "./model-history.js";
import { naiveOrder } from "./naive-range.js";
import type { NaiveView } from "./naive-view.js";

const BOUNDS = VALUES.filter(
  (value): value is RangeBound =>
    typeof value === "string" || (typeof value === "number" && !Number.isNaN(value)) || value instanceof Uint8Array,
);

/** A range that has room for something, mostly for several values. */
export function someRange(random: Choices): PropertyRange {
  const [a, b] = [random.pick(BOUNDS), random.pick(BOUNDS)];
  const ofOneKind = typeof a === typeof b && naiveOrder(a, b) !== 0;
  const [low, high] = ofOneKind && naiveOrder(a, b) > 0 ? [b, a] : [a, b];
  const lower = random.pick([{ gte: low }, { gt: low }]);
  if (!ofOneKind) return random.pick([lower, { gte: a, lte: a }, { lte: a }, { lt: a }]);
  return { ...lower, ...random.pick([{ lte: high }, { lt: high }]) };
}

/** Every query that knows ranges or an order. */
export function* rangeQueries(
  view: GraphView,
  naive: NaiveView,
  { nodeLabels, nodeIds, keys }: Subjects,
  random: Choices,
): Generator<Answer, void, undefined> {
  for (let round = 0; round < 3; round += 1) {
    const [key, other] = [random.pick(keys), random.pick(keys)];
    const label = random.integer(4) === 0 ? {} : { label: random.pick(nodeLabels) };
    const where = Object.assign(
      Object.create(null),
      random.integer(4) > 0 && Object.fromEntries([[key, someRange(random)]]),
      random.integer(4) === 0 && Object.fromEntries([[other, random.pick(VALUES)]]),
    );
    const query = { ...label, where };
    const text = textOfQuery(query);
    const found = Array.from(view.find(query), ({ id }) => id).sort();
    yield [
      `find(${text})`,
      found,
      naive
        .find(query)
        .map((node) => node?.id)
        .sort(),
    ];
    const limit = 1 + random.integer(4);
    const few = Array.from(view.find({ ...query, limit }), ({ id }) => id);
    const isFew = few.length === Math.min(limit, found.length) && few.every((id) => found.includes(id));
    yield [`find(${text}, limit ${limit}) gives some of them`, isFew, true];
    const ordered = {
      ...query,
      orderBy: random.pick([key, key, other]),
      ...(random.integer(2) === 0 && { descending: random.integer(2) === 0 }),
      ...(random.integer(3) === 0 && { limit }),
    };
    yield [`find(${textOfQuery(ordered)})`, [...view.find(ordered)], naive.findInOrder(ordered)];
    const walk = { maxDepth: 3, where };
    const start = random.pick(nodeIds);
    yield [`traverse(${start}, ${textOfQuery(walk)})`, [...view.traverse(start, walk)], naive.traverse(start, walk)];
  }
}

function textOfQuery(query: object): string {
  return JSON.stringify(query, (_, each: unknown) => (Object.is(each, -0) ? "-0" : each));
}
