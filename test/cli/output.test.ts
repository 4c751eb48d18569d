import { Writable } from "node:stream";
import { Output, stringify } from "../../src/cli/output.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("cli/output");

/** A stream whose reader decides when it takes the next piece. */
class SlowStream {
  readonly taken: string[] = [];
  readonly stream: Writable;
  #take: (() => void) | null = null;

  constructor() {
    this.stream = new Writable({
      highWaterMark: 1,
      decodeStrings: false,
      write: (text: string, _encoding, done) => {
        this.taken.push(text);
        this.#take = done;
      },
    });
  }

  take(): void {
    this.#take?.();
  }
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

test("prints one JSON object per line, or text for people", async () => {
  for (const [json, expected] of [
    [true, '{"a":1}\n{"a":2}\n'],
    [false, "one\ntwo\n"],
  ] as const) {
    const { stream, taken } = new SlowStream();
    const output = new Output(stream, json);
    await output.print({ a: 1 }, () => "one");
    await output.print({ a: 2 }, () => "two");
    await nextTurn();
    assert.is(taken.join(""), expected);
  }
});

test("waits for a slow reader", async () => {
  const slow = new SlowStream();
  const output = new Output(slow.stream, false);
  const long = "x".repeat(100_000);
  const order: string[] = [];
  const printing = output.print(null, () => long)?.then(() => order.push("printed"));
  await nextTurn();
  order.push("taking");
  slow.take();
  await printing;
  assert.equal(order, ["taking", "printed"]);
});

test("drops what is printed after the reader has gone, and says so", async () => {
  const slow = new SlowStream();
  const output = new Output(slow.stream, false);
  const printing = output.print(null, () => "x".repeat(100_000));
  slow.stream.destroy(Object.assign(new Error("gone"), { code: "EPIPE" }));
  await printing;
  assert.ok(output.gone.aborted);
  assert.is(
    output.print(null, () => "more"),
    undefined,
  );
  await output.flush();
});

test("a full disk behind stdout is an error", async () => {
  const slow = new SlowStream();
  const output = new Output(slow.stream, false);
  slow.stream.destroy(Object.assign(new Error("no space"), { code: "ENOSPC" }));
  await nextTurn();
  await rejects(output.flush(), "ENOSPC");
});

test("prints what JSON cannot hold as protobuf's JSON does", () => {
  const value = {
    bytes: Uint8Array.of(1, 2, 255),
    buffer: Buffer.from("ab"),
    big: 2n ** 63n,
    none: Number.NaN,
    infinite: [Number.NEGATIVE_INFINITY],
    missing: undefined,
    nested: { null: null, flag: false },
  };
  assert.equal(JSON.parse(stringify(value)), {
    bytes: "AQL/",
    buffer: "YWI=",
    big: "9223372036854775808",
    none: "NaN",
    infinite: ["-Infinity"],
    nested: { null: null, flag: false },
  });
  assert.is(stringify(undefined), "null");
});

test("keys such as __proto__ are data", () => {
  const text = '{"__proto__":{"a":1},"constructor":2}';
  assert.is(stringify(JSON.parse(text)), text);
});
