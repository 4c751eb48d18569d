/**
 * What an event costs the processor on its way in and out: payload, envelope, checksum. No disk.
 *
 *     node build/bench/codec.bench.js [--json]
 *
 * Every codec is checked before it is timed, and every result goes into a sum that is looked at afterwards, so that nothing can be
 * optimised away. The last case of each group is one that we do not own, to compare with.
 */

import { randomFillSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { add, complete, cycle, suite } from "benny";
import crc32c from "crc-32/crc32c.js";
import protobuf from "protobufjs";
import {
  CONTENT_JSON,
  CONTENT_PROTOBUF,
  EnvelopeView,
  encodeEnvelope,
  measure,
  type PreparedEvent,
  streamField,
  typeField,
} from "../src/events/envelope.js";
import { type PayloadCodec, SchemaRegistry } from "../src/events/schema-registry.js";
import { checksum } from "../src/wal/checksum.js";
import { PROJECT_ROOT } from "../test/support/source-file.js";
import { describeEnvironment } from "./environment.js";

const { values } = parseArgs({ options: { json: { type: "boolean", default: false } } });

interface Result {
  readonly name: string;
  readonly nsPerOperation: number;
  readonly marginPercent: number;
}

const results: Result[] = [];
let sum = 0;

function require(holds: boolean, what: string): void {
  if (!holds) throw new Error(`wrong answer: ${what}`);
}

async function run(group: string, cases: Readonly<Record<string, () => number>>): Promise<void> {
  const timed = Object.entries(cases).map(([name, body]) =>
    add(`${group}/${name}`, () => {
      sum += body();
    }),
  );
  const progress = values.json ? [] : [cycle(), complete()];
  const summary = await suite(group, ...timed, ...progress);
  for (const { name, ops, margin } of summary.results) {
    results.push({ name, nsPerOperation: Math.round(1e9 / ops), marginPercent: margin });
  }
}

const SCHEMA = `
  syntax = "proto3";
  package bench;
  message Deposited { string account = 1; int64 cents = 2; bytes reference = 3; }
`;

/** 64 bytes as protobuf. */
const DATA = { account: "account-42", cents: 500, reference: randomFillSync(new Uint8Array(47)) };
const JSON_DATA = { account: "account-42", cents: 500, reference: "0123456789abcdefghijk" };

function loadCodec(): PayloadCodec {
  const directory = mkdtempSync(join(tmpdir(), "varve-bench-"));
  try {
    const file = join(directory, "bench.proto");
    writeFileSync(file, SCHEMA);
    const { codec } = SchemaRegistry.load([file], new Map(), true).forAppend("bench.Deposited");
    if (codec === null) throw new Error("the schema has no bench.Deposited");
    return codec;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function prepared(payload: string | Uint8Array, content: number): PreparedEvent {
  const event: PreparedEvent = {
    typeField: typeField("bench.Deposited"),
    payload,
    payloadBytes: Buffer.byteLength(payload),
    content,
    id: null,
    metadata: null,
    subject: null,
    sealed: null,
    byteLengthMax: 0,
  };
  measure(event);
  return event;
}

async function payloads(codec: PayloadCodec): Promise<void> {
  const bytes = codec.encode(DATA);
  const text = JSON.stringify(JSON_DATA);
  require(bytes.length === 64, `the payload has ${bytes.length} bytes`);
  const back = codec.decode(bytes) as typeof DATA;
  require(back.cents === DATA.cents && Buffer.compare(back.reference, DATA.reference) === 0, "the payload comes back");
  require(codec.encodeShared?.(DATA).pos === bytes.length, "both ways of encoding agree");
  await run("payload-encode/64B", {
    "protobuf, checked, into shared memory": () => codec.encodeShared?.(DATA).pos ?? 0,
    "protobuf, checked": () => codec.encode(DATA).length,
    JSON: () => JSON.stringify(JSON_DATA).length,
  });
  await run("payload-decode/64B", {
    protobuf: () => (codec.decode(bytes) as typeof DATA).cents,
    JSON: () => (JSON.parse(text) as typeof JSON_DATA).cents,
  });
}

async function envelopes(codec: PayloadCodec): Promise<void> {
  const Envelope = new protobuf.Root()
    .loadSync(join(PROJECT_ROOT, "schemas/varve/v1/envelope.proto"))
    .lookupType("varve.v1.Envelope");
  const payload = codec.encode(DATA);
  const stream = streamField("account-42");
  const event = prepared(payload, CONTENT_PROTOBUF);
  const textEvent = prepared(JSON.stringify(JSON_DATA), CONTENT_JSON);
  const message = { stream: "account-42", version: 1234, type: "bench.Deposited", payload, content: CONTENT_PROTOBUF };
  const target = Buffer.alloc(1024);
  const end = encodeEnvelope(target, 0, stream, message.version, event);
  const bytes = Buffer.from(target.subarray(0, end));
  require(Buffer.compare(bytes, Envelope.encode(message).finish()) === 0, "protobufjs writes the same envelope");
  const view = new EnvelopeView();
  view.decode(bytes, 0, end);
  require(view.version === message.version && view.payloadEnd - view.payloadStart === payload.length, "it is decoded");
  await run("envelope-encode/64B", {
    "protobuf payload": () => encodeEnvelope(target, 0, stream, 1234, event),
    "JSON payload": () => encodeEnvelope(target, 0, stream, 1234, textEvent),
    protobufjs: () => Envelope.encode(message).finish().length,
  });
  await run("envelope-decode/64B", {
    "fields found": () => {
      view.decode(bytes, 0, end);
      return view.version;
    },
    protobufjs: () => (Envelope.decode(bytes) as unknown as { payload: Uint8Array }).payload.length,
  });
}

async function checksums(): Promise<void> {
  for (const byteLength of [128, 4096]) {
    const bytes = randomFillSync(new Uint8Array(byteLength));
    require(checksum(bytes) === crc32c.buf(bytes) >>> 0, "both checksums agree");
    await run(`checksum/${byteLength}B`, {
      ours: () => checksum(bytes, 0, byteLength),
      // What checking a record in the middle of a frame would take.
      "crc-32, of a view": () => crc32c.buf(bytes.subarray(0, byteLength)),
      "crc-32": () => crc32c.buf(bytes),
    });
  }
}

const codec = loadCodec();
await payloads(codec);
await envelopes(codec);
await checksums();
require(Number.isFinite(sum) && sum !== 0, "the results were used");
const environment = describeEnvironment(PROJECT_ROOT);
if (values.json) process.stdout.write(`${JSON.stringify({ environment, results })}\n`);
else for (const { name, nsPerOperation } of results) process.stdout.write(`${nsPerOperation} ns  ${name}\n`);
