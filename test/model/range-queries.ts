/** Ranges and orders beside the naive ones. */

import type { GraphView } from "../../src/projections/graph/graph-view.js";
import type { PropertyRange, RangeBound } from "../../src/projections/graph/value-range.js";
import type { Answer, Subjects } from "./compare.js";
import { type Choices, VALUES } from "./model-history.js";
import { naiveOrder } from "./naive-range.js";
import type { NaiveView } from "./naive-view.js";

function isBound(value: unknown): value is RangeBound {
  if (typeof value === "number") return !Number.isNaN(value);
  return typeof value === "string" || value instanceof Uint8Array;
}

const BOUNDS = VALUES.filter(isBound);

/** A range that begins or ends with one of these bounds, mostly, and has room for something. */
export function someRange(random: Choices, held: readonly unknown[] = []): PropertyRange {
  const bounds = held.filter(isBound);
  const a = random.pick(bounds.length > 0 ? bounds : BOUNDS);
  if (random.integer(2) === 0) return random.pick([{ gte: a }, { gt: a }, { lte: a }, { lt: a }, { gte: a, lte: a }]);
  const others = BOUNDS.filter((each) => typeof each === typeof a && naiveOrder(each, a) !== 0);
  const b = random.pick(others);
  const [low, high] = naiveOrder(a, b) < 0 ? [a, b] : [b, a];
  return { ...random.pick([{ gte: low }, { gt: low }]), ...random.pick([{ lte: high }, { lt: high }]) };
}

/** Every query that knows ranges or an order. */
export function* rangeQueries(
  view: GraphView,
  naive: NaiveView,
  { nodeLabels, nodeIds, keys }: Subjects,
  random: Choices,
): Generator<Answer, void, undefined> {
  const nodes = naive.find({}).flatMap((node) => node ?? []);
  for (let round = 0; round < 3; round += 1) {
    const [key, other] = [random.pick(keys), random.pick(keys)];
    // Mostly what some node bears and holds.
    const bears = nodes.length === 0 ? random.pick(nodeLabels) : random.pick([...nodes]).label;
    const label = random.integer(4) === 0 ? {} : { label: random.integer(4) === 0 ? random.pick(nodeLabels) : bears };
    const held = nodes.flatMap(({ properties }) => properties[key] ?? []);
    const where = Object.assign(
      Object.create(null),
      random.integer(4) > 0 && Object.fromEntries([[key, someRange(random, held)]]),
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
