/** What of an event's data is stored as its protobuf type, what comes back, and what is refused because it would come back otherwise. */

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { inspect } from "node:util";
import { type PayloadCodec, SchemaRegistry } from "../../src/events/schema-registry.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("events/schema-registry");

const BANK = `
  syntax = "proto3";
  package bank.v1;
  enum Currency { EUR = 0; USD = 1; LOSS = -1; }
  message Money { int64 cents = 1; Currency currency = 2; }
  message Deposited {
    string account = 1;
    Money money = 2;
    repeated string tags = 3;
    map<string, Money> parts = 4;
    optional int32 branch = 5;
    oneof origin { string iban = 6; uint64 card = 7; Money cash = 8; }
    bytes receipt = 9;
    bool booked = 10;
    double rate = 11;
    repeated int32 slots = 12;
    repeated Money more = 13;
    optional bytes seal = 14;
  }
  message Numbers {
    int32 i32 = 1; uint32 u32 = 2; sint32 s32 = 3; fixed32 f32 = 4; sfixed32 sf32 = 5;
    int64 i64 = 6; uint64 u64 = 7; sint64 s64 = 8; fixed64 f64 = 9; sfixed64 sf64 = 10;
    float f = 11; double d = 12; repeated int64 many = 13;
  }
  message Maps {
    map<string, string> text = 1; map<int32, string> i32 = 2; map<uint32, string> u32 = 3; map<int64, int64> i64 = 4;
    map<uint64, bytes> u64 = 5; map<bool, string> flag = 6; map<sint64, Numbers> s64 = 7;
  }
  message Tree { string name = 1; repeated Tree children = 2; Tree left = 3; }
  message Ping { Pong pong = 1; }
  message Pong { Ping ping = 1; uint64 count = 2; }
  message Odd { repeated string constructor = 1; map<string, int64> hasOwnProperty = 2; string toString = 3; int32 valueOf = 4; }
  message Nothing {}
  message Outer { message Inner { int32 x = 1; } Inner inner = 1; }
`;

function registryOf(text: string, strict = false): SchemaRegistry {
  return SchemaRegistry.load([schemaFile(text)], new Map(), strict);
}

function schemaFile(text: string, name = "types.proto", directory = temporaryDirectory()): string {
  const path = join(directory, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

function codecOf(registry: SchemaRegistry, type: string): PayloadCodec {
  const { codec } = registry.forAppend(type);
  if (codec === null) throw new Error(`${type} is not registered`);
  return codec;
}

const bank = registryOf(BANK);

function roundTrip(type: string, data: unknown): Record<string, unknown> {
  const codec = codecOf(bank, type);
  const bytes = codec.encode(data);
  const shared = codec.encodeShared?.(data);
  assert.equal(shared?.buf.subarray(0, shared.pos).toString(), bytes.toString(), "both ways of encoding agree");
  return codec.decode(bytes) as Record<string, unknown>;
}

async function refuses(type: string, data: unknown, part: string): Promise<void> {
  const error = await rejects(() => codecOf(bank, type).encode(data), "ERR_EVENTS_SCHEMA");
  assert.ok(error.message.includes(part), `"${error.message}" should say "${part}"`);
  assert.ok(error.message.includes(type), `"${error.message}" should name ${type}`);
}

test("every kind of field comes back as it went in", () => {
  const data = {
    account: "konto €👩‍🚀",
    money: { cents: 500, currency: 1 },
    tags: ["a", "", "c"],
    parts: { fee: { cents: -1, currency: 0 }, "": { cents: 0, currency: -1 } },
    branch: 0,
    card: 7,
    receipt: Uint8Array.from([0, 1, 255]),
    booked: true,
    rate: -0.1,
    slots: [-1, 0, 2 ** 31 - 1],
    more: [{ cents: 2, currency: 0 }],
    seal: new Uint8Array(0),
  };
  assert.equal(roundTrip("bank.v1.Deposited", data), data);
});

test("absent fields come back as their defaults, but not optional ones and those of a oneof", () => {
  assert.equal(roundTrip("bank.v1.Deposited", {}), {
    account: "",
    money: null,
    tags: [],
    parts: {},
    receipt: new Uint8Array(0),
    booked: false,
    rate: 0,
    slots: [],
    more: [],
  });
  assert.equal(roundTrip("bank.v1.Money", {}), { cents: 0, currency: 0 });
  assert.equal(roundTrip("bank.v1.Nothing", {}), {});
  assert.equal(roundTrip("bank.v1.Numbers", { f: -0 })["f"], -0);
});

test("null and undefined mean that a field is absent, so what was read can be appended again", () => {
  const read = roundTrip("bank.v1.Deposited", { account: null, money: undefined, tags: null, branch: undefined });
  assert.equal(roundTrip("bank.v1.Deposited", read), read);
});

test("the chosen field of a oneof comes back even with its default value; two are refused", async () => {
  assert.is(roundTrip("bank.v1.Deposited", { iban: "" })["iban"], "");
  assert.is(roundTrip("bank.v1.Deposited", { card: 0 })["card"], 0);
  assert.is("card" in roundTrip("bank.v1.Deposited", { iban: "x", card: null }), false);
  await refuses("bank.v1.Deposited", { iban: "", card: 1 }, "origin");
});

const I64_EDGES = [
  0n,
  1n,
  -1n,
  127n,
  128n,
  2n ** 31n,
  2n ** 32n,
  -(2n ** 32n),
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 53n + 1n,
];
const I64_FAR = [-(2n ** 53n) + 1n, -(2n ** 53n), -(2n ** 53n) - 1n, 2n ** 63n - 1n, -(2n ** 63n)];
const U64_FAR = [2n ** 63n, 2n ** 64n - 1n];

function expected(value: bigint): number | bigint {
  return value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER) ? value : Number(value);
}

test("bigints of 64-bit fields are stored to the last bit; safe integers come back as numbers, larger ones as bigints", () => {
  for (const field of ["i64", "s64", "sf64"]) {
    for (const value of [...I64_EDGES, ...I64_FAR]) {
      assert.is(roundTrip("bank.v1.Numbers", { [field]: value })[field], expected(value), `${field} ${value}`);
    }
  }
  for (const field of ["u64", "f64"]) {
    for (const value of [...I64_EDGES.filter((edge) => edge >= 0n), ...U64_FAR]) {
      assert.is(roundTrip("bank.v1.Numbers", { [field]: value })[field], expected(value), `${field} ${value}`);
    }
  }
});

test("safe integers are stored exactly in 64-bit fields when given as numbers", () => {
  for (const field of ["i64", "s64", "sf64", "u64", "f64"]) {
    const values = [0, 1, 127, 128, 2 ** 31, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER];
    if (!/^[uf]/.test(field)) values.push(-1, -(2 ** 31), -(2 ** 32), -(2 ** 32) - 1, Number.MIN_SAFE_INTEGER);
    for (const value of values) {
      assert.is(roundTrip("bank.v1.Numbers", { [field]: value })[field], value, `${field} ${value}`);
    }
  }
});

test("bigints are found in lists, maps, oneofs and nested messages, and the caller's object stays as it is", () => {
  const far = 2n ** 60n;
  const data = {
    money: { cents: far },
    parts: { a: { cents: -far } },
    more: [{ cents: 1 }, { cents: far }],
    card: far,
  };
  const before = structuredClone(data);
  const back = roundTrip("bank.v1.Deposited", data);
  assert.equal(data, before);
  assert.equal(back["money"], { cents: far, currency: 0 });
  assert.equal(back["parts"], { a: { cents: -far, currency: 0 } });
  assert.equal(back["more"], [
    { cents: 1, currency: 0 },
    { cents: far, currency: 0 },
  ]);
  assert.is(back["card"], far);
  assert.equal(roundTrip("bank.v1.Numbers", { many: [far, 1, -far, 0n] })["many"], [far, 1, -far, 0]);
  assert.equal(roundTrip("bank.v1.Ping", { pong: { ping: { pong: { count: far } } } }), {
    pong: { ping: { pong: { ping: null, count: far } }, count: 0 },
  });
});

test("a number beyond ±(2^53 − 1) is refused for a 64-bit field, because it may have been rounded already", async () => {
  for (const value of [2 ** 53, -(2 ** 53), 2 ** 53 + 2, 1e300, Number.POSITIVE_INFINITY, Number.NaN]) {
    await refuses("bank.v1.Numbers", { i64: value }, "i64");
    await refuses("bank.v1.Numbers", { u64: value }, "u64");
  }
  await refuses("bank.v1.Numbers", { i64: 2 ** 53 }, "bigint");
});

test("integers that their field does not hold are refused instead of cut", async () => {
  const cases: [string, unknown][] = [
    ["i32", 2 ** 31],
    ["i32", -(2 ** 31) - 1],
    ["s32", 2 ** 31],
    ["sf32", -(2 ** 31) - 1],
    ["u32", -1],
    ["u32", 2 ** 32],
    ["f32", 2 ** 32],
    ["i32", 1.5],
    ["i32", Number.NaN],
    ["i32", 1n],
    ["i64", 2n ** 63n],
    ["i64", -(2n ** 63n) - 1n],
    ["u64", -1],
    ["u64", -1n],
    ["u64", 2n ** 64n],
    ["f64", -1n],
    ["i64", 0.5],
    ["many", [1, 2n ** 64n]],
  ];
  for (const [field, value] of cases) await refuses("bank.v1.Numbers", { [field]: value }, field);
});

test("32-bit integers are stored exactly up to their limits", () => {
  const data = { i32: -(2 ** 31), u32: 2 ** 32 - 1, s32: 2 ** 31 - 1, f32: 2 ** 32 - 1, sf32: -(2 ** 31) };
  const back = roundTrip("bank.v1.Numbers", data);
  for (const [field, value] of Object.entries(data)) assert.is(back[field], value, field);
});

test("doubles come back bit for bit, floats as the nearest float, and what a float would make infinite is refused", async () => {
  for (const value of [0.1, -0, Number.NaN, Number.POSITIVE_INFINITY, 5e-324, 1.7976931348623157e308]) {
    assert.ok(Object.is(roundTrip("bank.v1.Numbers", { d: value })["d"], value), String(value));
  }
  assert.is(roundTrip("bank.v1.Numbers", { f: 0.1 })["f"], Math.fround(0.1));
  assert.is(roundTrip("bank.v1.Numbers", { f: Number.NEGATIVE_INFINITY })["f"], Number.NEGATIVE_INFINITY);
  await refuses("bank.v1.Numbers", { f: 1e300 }, "range");
});

test("values of another type than their field's are refused with the path to them", async () => {
  const cases: [Record<string, unknown>, string][] = [
    [{ account: 5 }, "account"],
    [{ account: ["a"] }, "account"],
    [{ money: "x" }, "money"],
    [{ money: [] }, "money"],
    [{ money: new Date(0) }, "money"],
    [{ money: new Map() }, "money"],
    [{ money: { cents: "5.0" } }, "money: cents"],
    [{ money: { cents: "05" } }, "money: cents"],
    [{ money: { cents: "" } }, "money: cents"],
    [{ money: { cents: "9223372036854775808" } }, "money: cents"],
    [{ money: { cents: 1, currency: "GBP" } }, "Currency"],
    [{ money: { cents: 1, currency: "constructor" } }, "Currency"],
    [{ tags: "a" }, "tags"],
    [{ tags: ["a", null] }, "tags: item 1"],
    [{ tags: new Set(["a"]) }, "tags"],
    [{ parts: [] }, "parts"],
    [{ parts: new Map([["a", {}]]) }, "parts"],
    [{ parts: { a: null } }, "parts: key a"],
    [{ parts: { a: { cents: 1.5 } } }, "parts: key a: cents"],
    [{ receipt: "aGVsbG8" }, "receipt"],
    [{ receipt: "some text" }, "receipt"],
    [{ receipt: [1, 2] }, "receipt"],
    [{ receipt: new ArrayBuffer(2) }, "receipt"],
    [{ booked: 1 }, "booked"],
    [{ booked: "true" }, "booked"],
    [{ rate: "1" }, "rate"],
    [{ rate: "nan" }, "rate"],
    [{ rate: 1n }, "rate"],
    [{ slots: [1, "2"] }, "slots: item 1"],
    [{ slots: new Int32Array(2) }, "slots"],
    [{ more: [{ cents: 1 }, { pence: 1 }] }, "more: item 1: there is no field pence"],
    [{ branch: "0" }, "branch"],
  ];
  for (const [data, part] of cases) await refuses("bank.v1.Deposited", data, part);
});

test("the texts of protobuf's JSON stand for bytes, 64-bit integers, enum values and numbers that JSON lacks", () => {
  const back = roundTrip("bank.v1.Deposited", {
    money: { cents: "-9223372036854775808", currency: "LOSS" },
    parts: { a: { cents: "7" } },
    more: [{ currency: "USD" }],
    receipt: "AAH/",
    card: "18446744073709551615",
    rate: "-Infinity",
    seal: "",
  });
  assert.equal(back["money"], { cents: -(2n ** 63n), currency: -1 });
  assert.equal(back["parts"], { a: { cents: 7, currency: 0 } });
  assert.equal(back["more"], [{ cents: 0, currency: 1 }]);
  assert.equal(back["receipt"], Uint8Array.from([0, 1, 255]));
  assert.equal(back["seal"], new Uint8Array(0));
  assert.is(back["card"], 2n ** 64n - 1n);
  assert.is(back["rate"], Number.NEGATIVE_INFINITY);
  assert.ok(Number.isNaN(roundTrip("bank.v1.Numbers", { f: "NaN" })["f"]));
});

test("data that is no object of fields is refused", async () => {
  for (const data of [null, undefined, 5, "x", [], [{}], true, () => 1, new Date(0), new Uint8Array(2), new Map()]) {
    await refuses("bank.v1.Deposited", data, "object");
  }
});

test("fields that the type does not have are refused, at any depth and under any name", async () => {
  await refuses("bank.v1.Deposited", { accnt: "x" }, "accnt");
  await refuses("bank.v1.Deposited", { money: { cents: 1, cent: 2 } }, "cent");
  await refuses("bank.v1.Deposited", { parts: { a: { b: 1 } } }, "b");
  await refuses("bank.v1.Outer", { inner: { x: 1, y: 2 } }, "y");
  for (const name of ["__proto__", "constructor", "hasOwnProperty", "toString", "$unknowns"]) {
    await refuses("bank.v1.Deposited", JSON.parse(`{"${name}":1}`), name);
  }
});

test("text with a lone surrogate is refused, because nobody could read it back", async () => {
  await refuses("bank.v1.Deposited", { account: "a\ud800" }, "surrogate");
  await refuses("bank.v1.Deposited", { tags: ["\udc00"] }, "surrogate");
  await refuses("bank.v1.Maps", { text: { "\ud800": "x" } }, "surrogate");
  assert.is(roundTrip("bank.v1.Deposited", { account: "\ud83d\ude00" })["account"], "😀");
});

test("enums come back as numbers; a proto3 enum keeps those it does not know", async () => {
  assert.is(roundTrip("bank.v1.Money", { currency: -1 })["currency"], -1);
  assert.is(roundTrip("bank.v1.Money", { currency: 77 })["currency"], 77);
  await refuses("bank.v1.Money", { currency: 1.5 }, "Currency");
  await refuses("bank.v1.Money", { currency: 2 ** 31 }, "Currency");
});

test("proto2: a missing required field and an unknown number of an enum are refused", async () => {
  const registry = registryOf(
    `syntax = "proto2"; enum E { A = 1; B = 2; } message M { required int32 x = 1; optional E e = 2; }`,
  );
  const codec = codecOf(registry, "M");
  assert.equal(codec.decode(codec.encode({ x: 0, e: 2 })), { x: 0, e: 2 });
  for (const data of [{}, { x: null }, { x: 1, e: 3 }]) await rejects(() => codec.encode(data), "ERR_EVENTS_SCHEMA");
});

test("map keys of every kind come back, and 64-bit ones to the last digit", () => {
  const data = {
    text: { "": "empty", a: "b" },
    i32: { "-2147483648": "least", "0": "zero" },
    u32: { "4294967295": "most" },
    i64: { "-9223372036854775808": 1, "9223372036854775807": -1, "0": 2, "12345678": 3 },
    u64: { "18446744073709551615": Uint8Array.from([1]) },
    flag: { true: "yes", false: "no" },
    s64: {},
  };
  assert.equal(roundTrip("bank.v1.Maps", data), data);
});

test("map keys that would come back as others are refused", async () => {
  for (const key of ["", "a", "1.5", "01", "+1", "-0", " 1", "1e3", "2147483648", "0x1"]) {
    await refuses("bank.v1.Maps", { i32: { [key]: "x" } }, "i32");
  }
  await refuses("bank.v1.Maps", { u32: { "-1": "x" } }, "u32");
  await refuses("bank.v1.Maps", { u64: { "-1": new Uint8Array(1) } }, "u64");
  await refuses("bank.v1.Maps", { i64: { "9223372036854775808": 1 } }, "i64");
  for (const key of ["1", "0", "yes", ""]) await refuses("bank.v1.Maps", { flag: { [key]: "x" } }, "flag");
});

test("a 64-bit map key that protobufjs would read as another number is refused", async () => {
  // The eight bytes of this number are the text "12345678".
  const misread = Buffer.from("12345678").readBigInt64LE();
  await refuses("bank.v1.Maps", { i64: { [String(misread)]: 1 } }, String(misread));
  const other = Buffer.from("1234567x").readBigInt64LE();
  assert.equal(roundTrip("bank.v1.Maps", { i64: { [String(other)]: 1 } })["i64"], { [String(other)]: 1 });
});

test("__proto__, constructor and hasOwnProperty are keys like others", () => {
  const text = '{"__proto__":"p","constructor":"c","hasOwnProperty":"h"}';
  const back = roundTrip("bank.v1.Maps", { text: JSON.parse(text) })["text"] as object;
  assert.is(JSON.stringify(back), text);
  assert.is(Object.getPrototypeOf(back), Object.prototype);
  const parts = JSON.parse('{"__proto__":{"cents":5,"currency":1}}') as Record<string, Record<string, unknown>>;
  const wide = roundTrip("bank.v1.Deposited", { parts, card: 2n ** 60n })["parts"] as object;
  assert.is(JSON.stringify(wide), JSON.stringify(parts));
});

test("fields can have the names of Object.prototype", () => {
  // As text, because uvu's `equal` calls the object's own hasOwnProperty.
  const fields = (data: Record<string, unknown>): string => inspect(Object.entries(data).sort());
  const empty = { constructor: [], hasOwnProperty: {}, toString: "", valueOf: 0 };
  assert.is(fields(roundTrip("bank.v1.Odd", {})), fields(empty as Record<string, unknown>));
  const data = { constructor: ["a"], hasOwnProperty: { x: 2n ** 60n }, toString: "t", valueOf: 1 };
  assert.is(fields(roundTrip("bank.v1.Odd", data)), fields(data as Record<string, unknown>));
});

test("bytes that were read belong to the reader", () => {
  const codec = codecOf(bank, "bank.v1.Deposited");
  const payload = codec.encode({ receipt: Buffer.from([1, 2, 3]) });
  const first = codec.decode(payload) as { receipt: Uint8Array };
  assert.is(first.receipt.constructor, Uint8Array);
  first.receipt.fill(9);
  assert.equal((codec.decode(payload) as { receipt: Uint8Array }).receipt, Uint8Array.from([1, 2, 3]));
});

test("messages nested too deeply, also without end, are refused", async () => {
  let deep: Record<string, unknown> = {};
  for (let depth = 0; depth < 100; depth++) deep = { left: deep };
  roundTrip("bank.v1.Tree", deep);
  await refuses("bank.v1.Tree", { left: deep }, "deep");
  const endless: Record<string, unknown> = {};
  endless["left"] = endless;
  await refuses("bank.v1.Tree", endless, "deep");
});

test("a getter that appends another event does not hide a bigint of this one", () => {
  const codec = codecOf(bank, "bank.v1.Numbers");
  const data = {
    i64: 2n ** 60n,
    get u64(): number {
      codec.encodeShared?.({ i64: 1 });
      return 5;
    },
  };
  const { buf, pos } = codec.encodeShared?.(data) ?? { buf: new Uint8Array(0), pos: 0 };
  const back = codec.decode(buf.subarray(0, pos)) as Record<string, unknown>;
  assert.is(back["i64"], 2n ** 60n);
  assert.is(back["u64"], 5);
});

test("types are known by their full names, and by their short names where only one type has it", () => {
  const registry = registryOf(
    `syntax = "proto3"; package a; message One { int32 x = 1; } message Two { message One { string y = 1; } One one = 1; }`,
  );
  assert.ok(registry.forAppend("a.One").codec !== null);
  assert.ok(registry.forAppend("a.Two.One").codec !== null);
  assert.ok(registry.forAppend("Two").codec !== null);
  assert.is(registry.forAppend("One").codec, null, "ambiguous");
  assert.is(registry.forAppend("two").codec, null);
  assert.is(registry.forAppend("constructor").codec, null);
  assert.is(registry.forAppend("__proto__").codec, null);
});

test("a full name without a package wins over the short names of others", () => {
  const registry = SchemaRegistry.load(
    [
      schemaFile(`syntax = "proto3"; package p; message One { string y = 1; }`),
      schemaFile(`syntax = "proto3"; message One { int32 x = 1; }`),
    ],
    new Map(),
    false,
  );
  const codec = codecOf(registry, "One");
  assert.equal(codec.decode(codec.encode({ x: 5 })), { x: 5 });
});

test("types that come with Varve stay as they are, whatever a schema says", () => {
  const own: PayloadCodec = { encode: () => new Uint8Array(1), decode: () => "own" };
  const file = schemaFile(`syntax = "proto3"; package varve.v1; message NodeCreated { int32 x = 1; }`);
  const registry = SchemaRegistry.load([file], new Map([["varve.v1.NodeCreated", own]]), false);
  assert.is(registry.forAppend("varve.v1.NodeCreated").codec, own);
});

test("with strictSchemas a type without a schema is refused, and a registered one is not", async () => {
  const registry = registryOf(BANK, true);
  assert.ok(registry.forAppend("Deposited").codec !== null);
  const error = await rejects(() => registry.forAppend("Unknown"), "ERR_EVENTS_SCHEMA");
  assert.ok(error.message.includes("Unknown"));
});

test("imports are found beside the importing file and, as protoc writes them, in the folders above it", () => {
  const directory = temporaryDirectory();
  schemaFile(`syntax = "proto3"; package c; message Common { int64 x = 1; }`, "common/v1/common.proto", directory);
  schemaFile(`syntax = "proto3"; package n; message Near { int64 y = 1; }`, "orders/v1/near.proto", directory);
  const file = schemaFile(
    `syntax = "proto3"; package o; import "common/v1/common.proto"; import "near.proto"; import "google/protobuf/struct.proto";
     message Ordered { c.Common common = 1; n.Near near = 2; google.protobuf.Struct extra = 3; }`,
    "orders/v1/orders.proto",
    directory,
  );
  const registry = SchemaRegistry.load([file, join(directory, "common/v1/common.proto")], new Map(), false);
  const codec = codecOf(registry, "o.Ordered");
  const data = { common: { x: 1 }, near: { y: 2 }, extra: { fields: { a: { stringValue: "b" } } } };
  assert.equal(codec.decode(codec.encode(data)), data);
  assert.ok(registry.forAppend("c.Common").codec !== null);
  assert.is(registry.forAppend("Value").codec, null, "google's types have no short names");
  assert.is(registry.forAppend("Struct").codec, null);
});

test("a schema that cannot be loaded is named, whatever is wrong with it", async () => {
  const cases = [
    schemaFile("syntax = proto3; message {"),
    schemaFile(`syntax = "proto3"; message M { Missing m = 1; }`),
    schemaFile(`syntax = "proto3"; import "nowhere.proto"; message M { int32 x = 1; }`),
    schemaFile(`syntax = "proto3"; message M { int32 x = 1; int32 y = 1; }`),
    schemaFile(`syntax = "proto3"; message M { int32 x = 1; } message M { int32 y = 1; }`),
    schemaFile("\u0000\u0001"),
    join(temporaryDirectory(), "absent.proto"),
    temporaryDirectory(),
  ];
  for (const file of cases) {
    const error = await rejects(() => SchemaRegistry.load([file], new Map(), false), "ERR_EVENTS_SCHEMA");
    assert.ok(error.message.includes(file), `"${error.message}" should name ${file}`);
    assert.ok(error.cause instanceof Error);
  }
});

test("of two schemas with the same type the second is named", async () => {
  const text = `syntax = "proto3"; package x; message M { int32 x = 1; }`;
  const files = [schemaFile(text), schemaFile(text)];
  const error = await rejects(() => SchemaRegistry.load(files, new Map(), false), "ERR_EVENTS_SCHEMA");
  assert.ok(error.message.includes(files[1] as string), error.message);
});

test("a payload that is no message of the type is a coded error", async () => {
  for (const bytes of [Uint8Array.from([0x0a, 50, 1]), Uint8Array.from([0x0a, 1, 0xff]), Uint8Array.from([0xff])]) {
    await rejects(() => bank.decode("bank.v1.Deposited", bytes), "ERR_EVENTS_SCHEMA");
  }
});

test("fields that a newer schema added are skipped", () => {
  const newer = registryOf(
    `syntax = "proto3"; message M { int32 x = 1; string y = 2; Z z = 3; message Z { int64 a = 1; } }`,
  );
  const older = registryOf(`syntax = "proto3"; message M { int32 x = 1; }`);
  const bytes = codecOf(newer, "M").encode({ x: 1, y: "new", z: { a: 2n ** 60n } });
  assert.equal(older.decode("M", bytes), { x: 1 });
});
