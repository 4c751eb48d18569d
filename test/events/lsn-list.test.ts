/** The LSNs of a stream, against a plain array. */

import { LsnList } from "../../src/events/lsn-list.js";
import { assert } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";

const test = suite("events/lsn-list");

function check(list: LsnList, lsns: readonly number[]): void {
  assert.is(list.length, lsns.length);
  assert.equal(
    lsns.map((_, index) => list.at(index)),
    lsns,
  );
  assert.is(list.at(lsns.length), undefined);
}

test("LSNs come back as they were pushed, at every length", () => {
  const list = new LsnList();
  const lsns: number[] = [];
  check(list, lsns);
  for (let length = 1; length <= 70; length++) {
    lsns.push(length * 3);
    list.push(length * 3);
    check(list, lsns);
  }
});

test("LSNs beyond 2^32 are kept whole, however many lie below", () => {
  for (const below of [0, 3, 16, 1023, 1024, 1025, 1600, 3000]) {
    const list = new LsnList();
    const lsns = Array.from({ length: below }, (_, index) => 2 ** 32 - below + index);
    for (let index = 0; index < 2000; index++) lsns.push(2 ** 32 + index * 2 ** 40);
    for (const lsn of lsns) list.push(lsn);
    check(list, lsns);
    assert.is(list.countThrough(2 ** 32 - 1), below);
    assert.is(list.countThrough(Number.MAX_SAFE_INTEGER), lsns.length);
  }
});

test("counts those up to an LSN as a search through all does", () => {
  const random = seededRandom();
  for (let round = 0; round < 20; round++) {
    const list = new LsnList();
    const lsns: number[] = [];
    for (let lsn = 1, length = random.integer(3000); lsns.length < length; lsn += 1 + random.integer(3)) {
      lsns.push(lsn);
      list.push(lsn);
    }
    for (let tries = 0; tries < 50; tries++) {
      const lsn = random.integer((lsns.at(-1) ?? 0) + 3);
      assert.is(list.countThrough(lsn), lsns.filter((other) => other <= lsn).length);
    }
  }
});
