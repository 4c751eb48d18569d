import { clipped, countIn, endBehind, type LsnRange, touches, unionOf } from "../../src/wal/lsn-ranges.js";
import { assert } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";

const test = suite("wal/lsn-ranges");

const LAST = 60;

/** By asking about every LSN. */
function lsnsOf(ranges: readonly LsnRange[]): Set<number> {
  const lsns = new Set<number>();
  for (const [from, through] of ranges) for (let lsn = from; lsn <= through; lsn++) lsns.add(lsn);
  return lsns;
}

test("ranges say of every LSN and every range the same as a set of LSNs would", () => {
  const random = seededRandom();
  for (let round = 0; round < 300; round++) {
    const some = (): LsnRange[] =>
      Array.from({ length: random.integer(6) }, () => {
        const from = 1 + random.integer(LAST - 5);
        return [from, from + random.integer(5)] as const;
      });
    const [a, b] = [some(), some()];
    const ranges = unionOf(a, b);
    const lsns = lsnsOf([...a, ...b]);
    assert.equal(
      [...lsnsOf(ranges)],
      [...lsns].sort((x, y) => x - y),
    );
    for (const [index, [from]] of ranges.entries()) assert.ok(index === 0 || from > (ranges[index - 1]?.[1] ?? 0) + 1);
    const from = 1 + random.integer(LAST);
    const through = from + random.integer(LAST - from + 1);
    const inRange = [...lsns].filter((lsn) => lsn >= from && lsn <= through);
    assert.is(touches(ranges, from, through), inRange.length > 0);
    assert.is(countIn(ranges, from - 1, through), inRange.length);
    let end = from - 1;
    while (lsns.has(end + 1)) end++;
    assert.is(endBehind(ranges, from - 1), end);
    assert.equal(
      [...lsnsOf(clipped(ranges, from))],
      [...lsnsOf(ranges)].filter((lsn) => lsn <= from),
    );
  }
});

test("neighbours that were told apart are passed over together", () => {
  const ranges: LsnRange[] = [
    [3, 4],
    [5, 5],
    [6, 9],
    [11, 12],
  ];
  assert.equal(
    [2, 4, 9, 10].map((lsn) => endBehind(ranges, lsn)),
    [9, 9, 9, 12],
  );
});
