/** The streams that opening rebuilds from the log. */

import { CONTENT_JSON, encodeEnvelope, measure, streamField, typeField } from "../../src/events/envelope.js";
import { StreamIndex } from "../../src/events/stream-index.js";
import { StreamReplay } from "../../src/events/stream-replay.js";
import { RECORD_HEADER_BYTES } from "../../src/wal/format.js";
import type { Frame } from "../../src/wal/index.js";
import { assert, rejects } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { collect, openEventStore } from "./support/open-event-store.js";

const test = suite("events/stream-replay");

interface Record {
  readonly stream: string;
  readonly version: number;
  readonly id?: string;
}

function frameOf(firstLsn: number, records: readonly Record[]): Frame {
  const parts = records.map(({ stream, version, id = null }) => {
    const prepared = {
      typeField: typeField("T"),
      payload: "1",
      payloadBytes: 1,
      content: CONTENT_JSON,
      id,
      metadata: null,
      subject: null,
      sealed: null,
      byteLengthMax: 0,
    };
    measure(prepared);
    const field = streamField(stream);
    const bytes = Buffer.alloc(RECORD_HEADER_BYTES + field.length + prepared.byteLengthMax);
    const end = encodeEnvelope(bytes, RECORD_HEADER_BYTES, field, version, prepared);
    bytes.writeUInt32LE(end - RECORD_HEADER_BYTES, 0);
    return bytes.subarray(0, end);
  });
  return { header: { firstLsn, recordCount: records.length } as Frame["header"], body: Buffer.concat(parts) };
}

test("heads, LSNs and ids after reopening are those before, for many streams and names of every kind", async () => {
  const random = seededRandom();
  const directory = temporaryDirectory();
  const names = [
    "__proto__",
    "constructor",
    "ключ",
    "x".repeat(1024),
    ...Array.from({ length: 600 }, (_, index) => `stream-${index}`),
  ];
  let store = await openEventStore({ segmentBytes: 64 * 1024 }, directory);
  const versions = new Map<string, number>();
  for (let round = 0; round < 3; round++) {
    const appends: Promise<unknown>[] = [];
    for (let count = 0; count < 1500; count++) {
      const stream = random.pick(names);
      const version = (versions.get(stream) ?? 0) + 1;
      versions.set(stream, version);
      appends.push(
        store.append(stream, { type: "T", data: count, id: `${version}` }, { expectedVersion: version - 1 }),
      );
    }
    await Promise.all(appends);
    const before = JSON.stringify(await collect(store.readAll()));
    await store.close();
    store = await openEventStore({ segmentBytes: 64 * 1024 }, directory);
    assert.is(store.stats().tailStreams, versions.size);
    assert.is(JSON.stringify(await collect(store.readAll())), before);
    for (const [stream, version] of versions) {
      assert.is(await store.streamVersion(stream), version);
      const events = await collect(store.readStream(stream, { from: version }));
      assert.equal(
        events.map(({ id, stream: name }) => [id, name]),
        [[`${version}`, stream]],
      );
      const repeated = await store.append(stream, { type: "T", data: 0, id: `${version}` });
      assert.is("duplicate" in repeated && repeated.duplicate, true);
    }
  }
  await store.close();
});

test("versions that do not follow each other are damage, told with the stream and the LSN", async () => {
  for (const versions of [[2], [1, 1], [1, 3], [1, 2, 1], [0]]) {
    const replay = new StreamReplay(new StreamIndex());
    const frame = frameOf(
      10,
      versions.map((version) => ({ stream: "s", version })),
    );
    const error = await rejects(() => replay.addFrame(frame), "ERR_WAL_CORRUPT");
    assert.ok(error.message.includes("s") && error.message.includes(String(9 + versions.length)), error.message);
  }
});

test("replay notes for each stream its version, its LSNs and its newest ids", () => {
  const index = new StreamIndex();
  const replay = new StreamReplay(index);
  replay.addFrame(
    frameOf(1, [
      { stream: "a", version: 1, id: "x" },
      { stream: "b", version: 1 },
      { stream: "a", version: 2 },
    ]),
  );
  replay.addFrame(
    frameOf(
      4,
      Array.from({ length: 1000 }, (_, at) => ({ stream: "b", version: at + 2, id: `${at}` })),
    ),
  );
  const [a, b] = [index.get("a"), index.get("b")];
  assert.equal([a?.indexedVersion, a?.lsnOf(1), a?.lsnOf(2), a?.lsnOf(3)], [2, 1, 3, undefined]);
  assert.equal([...(a?.recentIds ?? [])], [["x", 1]]);
  assert.equal([b?.indexedVersion, b?.recentIds?.size, b?.recentIds?.get("0")], [1001, 1000, 2]);
  assert.equal([b?.lsnOf(1), b?.lsnOf(2), b?.lsnOf(1001)], [2, 4, 1003]);
  assert.equal([a?.idsKnownThrough, b?.idsKnownThrough], [2, 1001]);
  replay.addFrame(frameOf(1004, [{ stream: "b", version: 1002, id: "one more" }]));
  assert.equal([b?.recentIds?.size, b?.recentIds?.has("0"), b?.idsForgottenThrough], [1000, false, 2]);
  assert.equal(
    [b?.versionAt(0), b?.versionAt(2), b?.versionAt(3), b?.versionAt(4), b?.versionAt(9999)],
    [0, 1, 1, 2, 1002],
  );
  assert.is(index.indexedThrough, 1004);
});

test("a frame that was entered already is passed over", () => {
  const index = new StreamIndex();
  const replay = new StreamReplay(index);
  const frame = frameOf(1, [{ stream: "s", version: 1, id: "x" }]);
  replay.addFrame(frame);
  replay.addFrame(frame);
  const head = index.get("s");
  assert.equal([head?.indexedVersion, head?.lsnOf(1), index.indexedThrough], [1, 1, 1]);
});
