/** What an event that was read looks like. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { CONTENT_SEALED, encodeEnvelope, measure, streamField, typeField } from "../../src/events/envelope.js";
import { EventDecoder, StoredEvent } from "../../src/events/recorded-event.js";
import { SchemaRegistry } from "../../src/events/schema-registry.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { collect, openEventStore } from "./support/open-event-store.js";

const test = suite("events/recorded-event");
const UUID_V8 = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

function schemaFile(): string {
  const path = join(temporaryDirectory(), "bank.proto");
  writeFileSync(
    path,
    `syntax = "proto3"; package bank; message Deposited { int64 cents = 1; bytes proof = 2; double rate = 3; }`,
  );
  return path;
}

test("ids are those given, else UUIDs of version 8 that are unique and stay the same after reopening", async () => {
  const directory = temporaryDirectory();
  const ids: string[][] = [];
  for (let round = 0; round < 2; round++) {
    const store = await openEventStore({}, directory);
    if (round === 0) {
      await store.append(
        "a",
        Array.from({ length: 300 }, (_, data) => ({ type: "T", data })),
      );
      await store.append("b", { type: "T", data: 1, id: "given" });
    }
    ids.push((await collect(store.readAll())).map((event) => event.id));
    await store.close();
  }
  assert.equal(ids[0], ids[1]);
  const [first = []] = ids;
  assert.is(first.pop(), "given");
  assert.ok(
    first.every((id) => UUID_V8.test(id)),
    first[0],
  );
  assert.is(new Set(first).size, 300);
  const other = await openEventStore();
  await other.append("a", { type: "T", data: 0 });
  const [event] = await collect(other.readAll());
  assert.is.not(event?.id, first[0], "another store, other ids");
  await other.close();
});

test("derived ids hold the whole LSN, up to the last one", () => {
  const decoder = new EventDecoder(SchemaRegistry.load([], new Map(), false), new Uint8Array(16).fill(0xff));
  const lsns = [1, 2 ** 32, 2 ** 32 + 1, 2 ** 48, 2 ** 48 + 1, Number.MAX_SAFE_INTEGER];
  const ids = lsns.map((lsn) => decoder.derivedId(lsn));
  for (const [index, id] of ids.entries()) {
    assert.ok(UUID_V8.test(id), id);
    assert.is(Number.parseInt(id.slice(21).replace("-", ""), 16), lsns[index]);
  }
});

test("data and metadata are decoded once; metadata that was not given is {}", async () => {
  const store = await openEventStore();
  await store.append("s", [
    { type: "T", data: { a: [1] }, metadata: { b: 2 } },
    { type: "T", data: undefined },
    { type: "T", data: 1, metadata: {} },
  ]);
  const [first, second, third] = await collect(store.readAll());
  const [data, metadata] = [first?.data, first?.metadata];
  assert.is(first?.data, data);
  assert.is(first?.metadata, metadata);
  assert.equal(first?.metadata, { b: 2 });
  assert.equal([second?.data, second?.metadata, third?.metadata], [undefined, {}, {}]);
  assert.is(Buffer.from(first?.payload ?? []).toString(), '{"a":[1]}');
  await store.close();
});

test("JSON.stringify and console.log show the event, and not how it is kept", async () => {
  const store = await openEventStore();
  await store.append("s", { type: "T", data: { a: 1 }, metadata: { m: 1 }, id: "id-1" });
  const [event] = await collect(store.readAll());
  const expected = {
    id: "id-1",
    type: "T",
    data: { a: 1 },
    metadata: { m: 1 },
    stream: "s",
    version: 1,
    lsn: 1,
    recordedAt: event?.recordedAt,
  };
  assert.equal(JSON.parse(JSON.stringify(event)), expected);
  assert.is(inspect(event), inspect(expected));
  await store.close();
});

test("bigints, bytes and numbers that JSON lacks have the texts of protobuf's JSON, and these can be appended again", async () => {
  const store = await openEventStore({ schemas: [schemaFile()] });
  const data = { cents: -(2n ** 60n), proof: Uint8Array.from([1, 2, 255]), rate: Number.NaN };
  await store.append("s", { type: "bank.Deposited", data });
  const [event] = await collect(store.readAll());
  const printed = JSON.parse(JSON.stringify(event)) as { data: unknown };
  assert.equal(printed.data, { cents: String(-(2n ** 60n)), proof: "AQL/", rate: "NaN" });
  await store.append("s", { type: "bank.Deposited", data: printed.data });
  const [, again] = await collect(store.readAll());
  assert.equal(again?.payload, event?.payload);
  await store.close();
});

test("of a type that is not registered all but data can be read, and the event can be printed", async () => {
  const directory = temporaryDirectory();
  const writer = await openEventStore({ schemas: [schemaFile()] }, directory);
  await writer.append("s", { type: "Deposited", data: { cents: 5 }, metadata: { m: 1 } });
  await writer.close();
  const store = await openEventStore({}, directory);
  const [event] = await collect(store.readAll());
  const error = await rejects(() => event?.data, "ERR_EVENTS_SCHEMA");
  assert.ok(error.message.includes("Deposited"));
  await rejects(() => event?.data, "ERR_EVENTS_SCHEMA");
  assert.equal(
    [event?.type, event?.stream, event?.version, event?.lsn, event?.metadata],
    ["Deposited", "s", 1, 1, { m: 1 }],
  );
  assert.ok(UUID_V8.test(event?.id ?? ""));
  assert.equal(Uint8Array.from(event?.payload ?? []), Uint8Array.from([8, 5]));
  assert.is((JSON.parse(JSON.stringify(event)) as { payload: string }).payload, "CAU=");
  assert.match(inspect(event), /payload/);
  await store.close();
});

test("data that a newer version encoded in another way is said to be so", async () => {
  const prepared = {
    typeField: typeField("T"),
    payload: "{}",
    payloadBytes: 2,
    content: CONTENT_SEALED + 1,
    id: null,
    metadata: null,
    subject: null,
    sealed: null,
    byteLengthMax: 0,
  };
  measure(prepared);
  const body = Buffer.alloc(200);
  const end = encodeEnvelope(body, 0, streamField("s"), 1, prepared);
  const decoder = new EventDecoder(SchemaRegistry.load([], new Map(), false), new Uint8Array(16));
  const event = new StoredEvent(decoder, { body, header: { recordedAt: 1 } }, 0, end, 1);
  await rejects(() => event.data, "ERR_WAL_VERSION");
  assert.is(event.stream, "s");
});
