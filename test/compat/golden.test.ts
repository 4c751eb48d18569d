/** Stores that earlier versions wrote, as they wrote them: read by today's code, and written by it byte for byte the same. */

import { cpSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openReader, openStore } from "../../src/index.js";
import {
  decodeFrameHeader,
  decodePreamble,
  encodeFrameHeader,
  encodePreamble,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  frameBytes,
  isBodyValid,
  PREAMBLE_BYTES,
} from "../../src/wal/format.js";
import { decodeManifest, encodeManifest } from "../../src/wal/manifest.js";
import { assert, sameBytes } from "../support/assert.js";
import { PROJECT_ROOT } from "../support/source-file.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { GOLDEN_APPENDS } from "./golden-events.js";

const GOLDEN = join(PROJECT_ROOT, "test", "compat", "format-1");
const EVENT_FIELDS = ["id", "type", "data", "metadata", "stream", "version", "lsn", "recordedAt"] as const;

const test = suite("compat/golden");

const expected = JSON.parse(readFileSync(join(GOLDEN, "events.json"), "utf8")) as Record<string, unknown>[];

function copyOfStore(): string {
  const directory = join(temporaryDirectory(), "store");
  cpSync(join(GOLDEN, "store"), directory, { recursive: true });
  return directory;
}

function segments(directory: string): Buffer[] {
  const core = join(directory, "wal", "core-000");
  return readdirSync(core)
    .sort()
    .map((name) => readFileSync(join(core, name)));
}

interface StoredFrame {
  readonly header: FrameHeader;
  readonly bytes: Buffer;
  readonly body: Buffer;
}

function framesOf(segment: Buffer): StoredFrame[] {
  const frames: StoredFrame[] = [];
  for (let at = PREAMBLE_BYTES; at < segment.length; ) {
    const decoded = decodeFrameHeader(segment.subarray(at, at + FRAME_HEADER_BYTES));
    if (decoded.kind !== "frame") throw new Error(`a golden frame is ${decoded.kind}`);
    const bytes = segment.subarray(at, at + frameBytes(decoded.header.storedBytes));
    const body = bytes.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + decoded.header.storedBytes);
    frames.push({ header: decoded.header, bytes, body });
    at += bytes.length;
  }
  return frames;
}

async function eventsOf(store: { readAll(): AsyncIterable<object> }): Promise<Record<string, unknown>[]> {
  const events: Record<string, unknown>[] = [];
  for await (const event of store.readAll()) {
    const fields = EVENT_FIELDS.map((field) => [field, (event as Record<string, unknown>)[field]]);
    events.push(JSON.parse(JSON.stringify(Object.fromEntries(fields))) as Record<string, unknown>);
  }
  return events;
}

test("the golden store has a frame of every kind that one core writes", () => {
  const kinds = segments(join(GOLDEN, "store")).map((segment) => framesOf(segment).map(({ header }) => header.kind));
  assert.equal(kinds, [
    ["DATA", "DATA", "DATA", "ATTEST", "SEAL"],
    ["DATA", "DATA", "ATTEST", "SEAL"],
  ]);
});

test("a reader of today reads exactly its events, and leaves it as it is", async () => {
  const directory = copyOfStore();
  const reader = await openReader(directory);
  assert.equal(await eventsOf(reader), expected);
  await reader.close();
  for (const [index, segment] of segments(directory).entries())
    sameBytes(segment, segments(join(GOLDEN, "store"))[index] as Buffer);
});

test("a writer of today opens it without a doubt, reads exactly its events, and goes on", async () => {
  const directory = copyOfStore();
  const store = await openStore(directory);
  assert.is(store.recovery.row, "@I");
  assert.equal(await eventsOf(store), expected);
  const { version, lsn } = await store.append("account-42", { type: "Closed", data: {} }, { expectedVersion: 2 });
  assert.equal([version, lsn], [3, expected.length + 1]);
  // What was appended with ids then is still known by them.
  const [stream] = (GOLDEN_APPENDS[0]?.[1] ?? []).slice(1);
  if (stream === undefined) throw new Error("the golden appends have changed");
  const repeated = await store.append(stream.stream, [(stream.events as readonly object[])[1] as never]);
  assert.is(repeated.duplicate, true);
  await store.close();
});

test("preambles and frames are written today as they were then, byte for byte", () => {
  for (const segment of segments(join(GOLDEN, "store"))) {
    const decoded = decodePreamble(segment.subarray(0, PREAMBLE_BYTES));
    if (decoded.kind !== "preamble") throw new Error(`the preamble is ${decoded.kind}`);
    const block = Buffer.alloc(PREAMBLE_BYTES, 0xff);
    encodePreamble(block, decoded.preamble);
    sameBytes(block, segment.subarray(0, PREAMBLE_BYTES));
    for (const { header, bytes, body } of framesOf(segment)) {
      const encoded = Buffer.alloc(FRAME_HEADER_BYTES, 0xff);
      assert.is(encodeFrameHeader(encoded, header), header.headerCrc);
      sameBytes(encoded, bytes.subarray(0, FRAME_HEADER_BYTES));
      assert.ok(isBodyValid(header, body));
      assert.ok(bytes.subarray(FRAME_HEADER_BYTES + body.length).every((byte) => byte === 0));
    }
  }
});

test("a manifest of version 1 says today what it said then, and is written as version 2", () => {
  const bytes = readFileSync(join(GOLDEN, "store", "manifest-0000000005"));
  const decoded = decodeManifest(bytes);
  if (decoded.kind !== "manifest") throw new Error(`the golden manifest is ${decoded.kind}`);
  assert.equal(decoded.manifest, {
    sequence: 5,
    storeId: "e26cf688d846c7232da6dd9b316c92ab",
    createdAt: 1_795_255_448_572_025,
    checkpointLsn: 0,
    horizonLsn: 0,
    sealed: [],
    incarnations: [
      { incarnation: 1, firstLsn: 1, lastLsn: 5, firstSegments: [1], voids: [] },
      { incarnation: 2, firstLsn: 6, lastLsn: 7, firstSegments: [2], voids: [] },
    ],
  });
  const encoded = encodeManifest(decoded.manifest);
  assert.match(encoded.toString(), /^varve-manifest 2 /);
  assert.equal(decodeManifest(encoded), decoded);
});

test("the same appends make the same records today", async () => {
  const directory = join(temporaryDirectory(), "store");
  for (const appends of GOLDEN_APPENDS) {
    const store = await openStore(directory, { segmentBytes: 64 * 1024 });
    for (const append of appends) await store.appendMany(append);
    await store.close();
  }
  const bodies = (from: string): Buffer[] =>
    segments(from).flatMap((segment) =>
      framesOf(segment)
        .filter(({ header }) => header.kind === "DATA")
        .map(({ body }) => body),
    );
  const [then, now] = [bodies(join(GOLDEN, "store")), bodies(directory)];
  assert.is(now.length, then.length);
  for (const [index, body] of now.entries()) sameBytes(body, then[index] as Buffer);
});
