/** What names of types mean, and what becomes of data: the table that upcasting goes by. */

import type { StoreError } from "../../src/errors.js";
import { UpcasterRegistry, type Upcasters, upcast } from "../../src/events/upcasters.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("events/upcasters");

const one = (data: unknown): unknown => [data, 1];
const two = (data: unknown): unknown => [data, 2];
const registry = new UpcasterRegistry({ Placed: [one, two], Fresh: [], constructor: [one], "a.v1.B": [one] });

const event = { id: "e", stream: "s", version: 3, lsn: 7, recordedAt: 1, metadata: {} };

test("a stored name is a type, a version and what is still to be done", () => {
  const rows: readonly (readonly [string, string, number, number, boolean])[] = [
    ["Placed", "Placed", 1, 2, true],
    ["Placed.v1", "Placed", 1, 2, true],
    ["Placed.v2", "Placed", 2, 1, true],
    ["Placed.v3", "Placed", 3, 0, true],
    ["Placed.v4", "Placed", 4, 0, false],
    ["Placed.v999999999", "Placed", 999_999_999, 0, false],
    ["Placed.v0", "Placed.v0", 1, 0, true],
    ["Placed.v02", "Placed.v02", 1, 0, true],
    ["Placed.v2.v2", "Placed.v2.v2", 1, 0, true],
    ["Fresh", "Fresh", 1, 0, true],
    ["Fresh.v2", "Fresh", 2, 0, false],
    ["Other.v2", "Other.v2", 1, 0, true],
    ["constructor.v2", "constructor", 2, 0, true],
    ["toString", "toString", 1, 0, true],
    ["a.v1.B.v2", "a.v1.B", 2, 0, true],
  ];
  for (const [stored, type, version, steps, isKnown] of rows) {
    const reading = registry.readingOf(stored);
    assert.equal(
      [reading.type, reading.version, reading.steps.length, reading.isKnown],
      [type, version, steps, isKnown],
      stored,
    );
  }
  assert.is(new UpcasterRegistry().readingOf("Placed.v2").type, "Placed.v2");
});

test("a type is stored with the version that it has, and nobody else says it", async () => {
  assert.equal(
    ["Placed", "Fresh", "Other", "Other.v2"].map((type) => registry.storedNameOf(type)),
    ["Placed.v3", "Fresh", "Other", "Other.v2"],
  );
  for (const type of ["Placed.v1", "Placed.v3", "Placed.v9", "Fresh.v1"]) {
    await rejects(() => registry.storedNameOf(type), "ERR_EVENTS_INVALID_EVENT");
  }
});

test("steps run in order from the event's version on, each on what the one before has made", () => {
  const read = (stored: string): unknown => upcast(registry.readingOf(stored), event, () => "data");
  assert.equal(read("Placed"), [["data", 1], 2]);
  assert.equal(read("Placed.v2"), ["data", 2]);
  assert.equal(read("Placed.v3"), "data");
});

test("an unknown version is not decoded, and a step that fails is named with the event", async () => {
  const newer = await rejects(
    () =>
      upcast(registry.readingOf("Placed.v4"), event, () => {
        throw new Error("decoded");
      }),
    "ERR_EVENTS_UNKNOWN_VERSION",
  );
  assert.equal((newer as StoreError).details, { lsn: 7, stream: "s", type: "Placed", version: 4 });
  const cause = new Error("no item");
  const bad: readonly (readonly [unknown, RegExp])[] = [
    [
      () => {
        throw cause;
      },
      /the upcaster of T from version 2 to 3 failed at LSN 7: no item/,
    ],
    [() => undefined, /returned undefined/],
    [async () => Promise.reject(cause), /returned a promise/],
  ];
  for (const [step, message] of bad) {
    const failing = new UpcasterRegistry({ T: [one, step as typeof one] });
    const error = await rejects(() => upcast(failing.readingOf("T"), event, () => 0), "ERR_EVENTS_UPCAST");
    assert.match(error.message, message);
    assert.equal((error as StoreError).details, { lsn: 7, stream: "s", type: "T", version: 2 });
  }
});

test("wrong upcasters are named", () => {
  const misuse: readonly (readonly [unknown, RegExp])[] = [
    [null, /option upcasters must be an object/],
    [{ T: one }, /option upcasters\.T must be an array of functions/],
    [{ T: [one, 2] }, /option upcasters\.T/],
    [{ "T.v2": [one] }, /without a version, not "T\.v2"/],
    [{ "": [one] }, /without a version/],
    [{ "varve.v1.NodeCreated": [one] }, /is Varve's own/],
  ];
  for (const [upcasters, message] of misuse) {
    assert.throws(
      () => new UpcasterRegistry(upcasters as Upcasters),
      (error: Error) => error instanceof TypeError && message.test(error.message),
    );
  }
});
