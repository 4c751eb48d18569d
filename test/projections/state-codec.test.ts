/** JSON keeps what it can give back, and refuses the rest with its place. */

import { codecOf, jsonCodec } from "../../src/projections/state-codec.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("projections/state-codec");

test("what JSON holds comes back as it was", () => {
  const codec = jsonCodec<unknown>();
  const bare = Object.assign(Object.create(null) as object, { a: 1 });
  for (const value of [null, 0, -1.5, "ü", true, [], [[1], { a: null }], { a: { b: [1, "2"] } }]) {
    assert.equal(codec.decode(codec.encode(value)), value);
  }
  assert.equal(codec.decode(codec.encode(bare)), { a: 1 });
  assert.equal(codec.decode(codec.encode({ a: 1, b: undefined })), { a: 1 });
  const inside = Buffer.concat([Buffer.from("xx"), codec.encode([7]), Buffer.from("yy")]);
  assert.equal(codec.decode(inside.subarray(2, 5)), [7]);
});

test("what would come back as something else is refused with its place", () => {
  const codec = jsonCodec<unknown>();
  class Point {
    readonly x = 1;
  }
  const bad: readonly (readonly [unknown, RegExp])[] = [
    [new Map(), /the state is a Map, which JSON does not keep/],
    [{ at: new Date(0) }, /the state\.at is a Date/],
    [{ list: [1, new Set()] }, /the state\.list\[1\] is a Set/],
    [{ n: Number.NaN }, /the state\.n is NaN/],
    [[Number.POSITIVE_INFINITY], /the state\[0\] is Infinity/],
    [{ n: 1n }, /the state\.n is 1/],
    [[undefined], /the state\[0\] is undefined/],
    [new Array(1), /the state\[0\] is undefined/],
    [undefined, /the state is undefined/],
    [{ p: new Point() }, /the state\.p is a Point/],
    [{ b: Buffer.from("b") }, /the state\.b is a Buffer/],
    [{ toJSON: () => 1 }, /which JSON does not keep/],
    [{ f: () => 1 }, /the state\.f is/],
  ];
  for (const [value, message] of bad) {
    assert.throws(
      () => codec.encode(value),
      (error: Error) => error instanceof TypeError && message.test(error.message),
    );
  }
});

test("a codec that lacks one of its functions is refused", () => {
  const encode = (): Uint8Array => new Uint8Array(0);
  assert.throws(() => codecOf({ encode } as never, "x"), /x\.decode must be a function/);
  assert.throws(() => codecOf(null as never, "x"), /x\.encode must be a function/);
});
