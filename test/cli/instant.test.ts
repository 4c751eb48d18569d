import { formatInstant, parseInstant } from "../../src/cli/instant.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("cli/instant");

const AT = Date.UTC(2024, 1, 29, 12, 34, 56) * 1_000;

test("reads microseconds", () => {
  assert.equal(["0", "-5", "+7", "9007199254740991", "-9007199254740991"].map(parseInstant), [
    0,
    -5,
    7,
    Number.MAX_SAFE_INTEGER,
    -Number.MAX_SAFE_INTEGER,
  ]);
});

test("reads ISO 8601, in UTC where no zone is given", () => {
  const texts: readonly (readonly [string, number])[] = [
    ["2024-02-29T12:34:56Z", AT],
    ["2024-02-29T12:34:56", AT],
    ["2024-02-29 12:34:56z", AT],
    ["2024-02-29T12:34:56.789Z", AT + 789_000],
    ["2024-02-29T12:34:56.000001Z", AT + 1],
    ["2024-02-29T14:34:56+02:00", AT],
    ["2024-02-29T10:04:56-0230", AT],
    ["2024-02-29T14:34:56+02", AT],
    ["2024-02-29T12:34", AT - 56_000_000],
    ["2024-02-29", Date.UTC(2024, 1, 29) * 1_000],
    ["1969-12-31T23:59:59.999999Z", -1],
    ["1684-07-29", Date.UTC(1684, 6, 29) * 1_000],
  ];
  for (const [text, us] of texts) assert.is(parseInstant(text), us, text);
});

test("refuses what is no instant", () => {
  const texts = [
    "",
    "now",
    "2024",
    "2024-02-30",
    "2023-02-29",
    "2024-13-01",
    "2024-02-29T24:30",
    "2024-02-29T12",
    "1.5",
  ];
  // The year 2024 alone is 2,024 µs: digits are always microseconds.
  assert.is(parseInstant("2024"), 2_024);
  for (const text of texts.filter((each) => each !== "2024")) assert.is(parseInstant(text), null, text);
  for (const text of [
    "9007199254740992",
    "1600-01-01",
    "9999-01-01",
    "2024-02-29T12:34:56.1234567Z",
    "2024-02-29T12:34:56+25:00",
  ])
    assert.is(parseInstant(text), null, text);
});

test("what it formats it reads again", () => {
  for (const us of [0, -1, 1, AT, AT + 123, 9_007_199_254_740_991, -9_007_199_254_740_991]) {
    assert.is(parseInstant(formatInstant(us)), us, formatInstant(us));
  }
  assert.is(formatInstant(AT), "2024-02-29T12:34:56Z");
  assert.is(formatInstant(AT + 5), "2024-02-29T12:34:56.000005Z");
});
