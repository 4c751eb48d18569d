import { type EntryWalk, SortedEntries } from "../../../src/projections/graph/sorted-entries.js";
import { OrderedValue } from "../../../src/projections/graph/value-order.js";
import { ValueRange, valueRangeOf } from "../../../src/projections/graph/value-range.js";
import { naiveOrder } from "../../model/naive-range.js";
import { assert } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";

const test = suite("projections/graph/sorted-entries");
const random = seededRandom();

type Value = number | string;
type Pair = readonly [value: Value, slot: number];

const ordered = (value: Value): OrderedValue => new OrderedValue().take(value);
const inOrder = (a: Pair, b: Pair): number => naiveOrder(a[0], b[0]) || a[1] - b[1];

function someValue(isText: boolean): Value {
  if (!isText) return random.pick([random.integer(50), random.integer(1e6) / 8, -random.integer(1e15), 0]);
  const letters = Array.from({ length: random.integer(12) }, () => random.pick(["a", "b", "\u0000", "é", "\u{1f600}"]));
  return letters.join("");
}

/** Each pair once, in order. */
function distinct(pairs: readonly Pair[]): Pair[] {
  return pairs.toSorted(inOrder).filter((pair, at, all) => at === 0 || inOrder(all[at - 1] as Pair, pair) !== 0);
}

function slotsOf(walk: EntryWalk, countMax = Number.POSITIVE_INFINITY): number[] {
  const slots: number[] = [];
  while (slots.length < countMax && walk.next()) slots.push(walk.slot);
  return slots;
}

function someRange(isText: boolean): ValueRange {
  const [low, high] = [someValue(isText), someValue(isText)].sort(naiveOrder) as [Value, Value];
  if (naiveOrder(low, high) === 0) return ValueRange.of(ordered(low));
  return valueRangeOf("", {
    ...random.pick([{ gte: low }, { gt: low }, {}]),
    ...random.pick([{ lte: high }, { lt: high }]),
  });
}

for (const isText of [false, true]) {
  test(`pairs of ${isText ? "text" : "numbers"} come in order, each once, whole and in ranges, both ways`, () => {
    const entries = new SortedEntries(isText);
    const pairs: Pair[] = [];
    const known = new Set<string>();
    for (let round = 0; round < 3_000; round += 1) {
      const pair = [someValue(isText), 1 + random.integer(40)] as const;
      const name = JSON.stringify(pair);
      assert.is(entries.insert(ordered(pair[0]), pair[1]), !known.has(name));
      known.add(name);
      pairs.push(pair);
    }
    const expected = distinct(pairs);
    assert.is(entries.count, expected.length);
    assert.ok(entries.blocks.length > 2, "it was split");
    assert.equal(
      slotsOf(entries.walk(null, false)),
      expected.map(([, slot]) => slot),
    );
    assert.equal(slotsOf(entries.walk(null, true)), expected.map(([, slot]) => slot).reverse());
    for (let round = 0; round < 300; round += 1) {
      const range = someRange(isText);
      const inside = expected.filter(([value]) => range.has(ordered(value))).map(([, slot]) => slot);
      assert.equal(slotsOf(entries.walk(range, false)), inside);
      assert.equal(slotsOf(entries.walk(range, true)), inside.toReversed());
      assert.is(entries.hasMoreThan(inside.length, range), false);
      if (inside.length > 0) assert.is(entries.hasMoreThan(inside.length - 1, range), true);
    }
  });
}

test("a walk that is left lying goes on behind its entry, whatever was put in meanwhile", () => {
  for (const descending of [false, true]) {
    const entries = new SortedEntries(false);
    for (let slot = 1; slot <= 2_000; slot += 1) entries.insert(ordered(random.integer(1_000)), slot);
    const walk = entries.walk(null, descending);
    const given = slotsOf(walk, 700);
    const last = given.at(-1);
    for (let slot = 2_001; slot <= 4_000; slot += 1) entries.insert(ordered(random.integer(1_000)), slot);
    const all = slotsOf(entries.walk(null, descending));
    assert.equal(slotsOf(walk), all.slice(all.indexOf(last as number) + 1));
  }
});

test("values that only grow fill their blocks", () => {
  const entries = new SortedEntries(false);
  for (let time = 0; time < 5_120; time += 1) entries.insert(ordered(time), 1);
  assert.is(entries.blocks.length, 10);
});

test("nothing is found where nothing is, and nothing behind the last or before the first", () => {
  const entries = new SortedEntries(true);
  const range = valueRangeOf("", { gte: "a" });
  assert.equal([slotsOf(entries.walk(null, false)), slotsOf(entries.walk(range, true))], [[], []]);
  assert.not(entries.hasMoreThan(0, range));
  entries.insert(ordered("Z"), 7);
  assert.equal([slotsOf(entries.walk(range, false)), slotsOf(entries.walk(range, true))], [[], []]);
  assert.equal(slotsOf(entries.walk(valueRangeOf("", { lt: "a" }), true)), [7]);
});
