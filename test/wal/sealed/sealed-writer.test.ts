/** Making segments when something fails: nothing half-made gets a name, and what is left is removed. */

import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ENOSPC } from "../../../src/ffi/errno.js";
import { CHAIN_START } from "../../../src/wal/sealed/hash-chain.js";
import { mergeFrames } from "../../../src/wal/sealed/merge-frames.js";
import type { SealedEntry } from "../../../src/wal/sealed/sealed-entry.js";
import {
  listSealed,
  nextSealedNumber,
  removeUnlisted,
  sealedPath,
  temporaryPath,
} from "../../../src/wal/sealed/sealed-name.js";
import { SealedWriter } from "../../../src/wal/sealed/sealed-writer.js";
import { assert, rejects } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { openFiles } from "../support/log-fixture.js";
import { type Bench, frameOf, keyOf, type MadeLog, makeLog, STORE_ID, sealedBench, toAsync } from "./sealed-fixture.js";

const test = suite("wal/sealed/sealed-writer");

let bench: Bench;
let filesBefore: string[] = [];
test.beforeEach(() => {
  filesBefore = openFiles();
  bench = sealedBench();
});
test.afterEach(async () => {
  await bench.close();
  assert.equal(openFiles(), filesBefore, "files were left open");
});

/** About 5 MB: several writes of a sink. */
function largeLog(): MadeLog {
  return makeLog(seededRandom(2), { frames: 120, streams: 20, recordsMax: 40, payloadMax: 1000 });
}

function made(frames: MadeLog["frames"], lastLsn: number, voids: [number, number][] = []): MadeLog {
  return { frames, voids, lastLsn, streams: new Map(), records: new Map() };
}

function sealedNames(): string[] {
  return readdirSync(bench.directory).filter((name) => name !== "probe");
}

test("whichever write, sync or read back fails, the merge fails, no file has a name, and the next merge succeeds", async () => {
  const log = largeLog();
  await bench.merge(log);
  const kinds = bench.faulty.operations.map(({ kind }) => kind);
  await removeUnlisted(bench.directory, []);
  assert.ok(kinds.filter((kind) => kind === "write").length > 2);
  assert.is(kinds.filter((kind) => kind === "dataSync").length, 1);
  let number = 1;
  for (const [failing, kind] of kinds.entries()) {
    // Reads that come first to last are alike; a few of them do.
    if (kind === "read" && failing % 9 !== 0) continue;
    for (const fault of [{ result: -ENOSPC }, { onlyBytes: 4096 }] as const) {
      if (kind === "dataSync" && "onlyBytes" in fault) continue;
      // A short read is read again block by block.
      if (kind === "read" && "onlyBytes" in fault) continue;
      const before = bench.faulty.operations.length;
      // What cannot be read in one piece is read again block by block, so all reads from there on fail.
      bench.faulty.decide = (operation) => {
        const index = bench.faulty.operations.length - before - 1;
        return index === failing || (kind === "read" && index > failing && operation.kind === kind) ? fault : null;
      };
      await rejects(bench.merge(log, { firstNumber: number++ }), "ERR_IO_FAILED");
      bench.faulty.decide = () => null;
      assert.equal(sealedNames(), []);
    }
  }
  assert.is((await bench.merge(log, { firstNumber: number })).length, 1);
});

test("what does not read back as it was written never gets its name", async () => {
  const log = largeLog();
  let writes = 0;
  // The device says that it wrote all, and did not.
  const { io } = bench;
  const lying = {
    ...io,
    description: io.description,
    get inFlightCount() {
      return io.inFlightCount;
    },
    write: ((fd, buffer, bufferOffset, length, fileOffset, durable, completion) => {
      if (++writes === 2) setImmediate(() => completion.complete(length));
      else io.write(fd, buffer, bufferOffset, length, fileOffset, durable, completion);
    }) as typeof io.write,
  };
  await rejects(bench.merge(log, { io: lying }), "ERR_WAL_CORRUPT");
  assert.equal(sealedNames(), []);
});

test("a merge that is ended from outside leaves nothing in flight and no file", async () => {
  const log = largeLog();
  for (const stop of [1, 60, 119]) {
    let runs = 0;
    const onProgress = (): void => {
      if (++runs === stop) throw new Error("stop");
    };
    await rejects(bench.merge(log, { onProgress, segmentBytes: 1_000_000 }), (error) => error.message === "stop");
    assert.is(bench.io.inFlightCount, 0);
    assert.ok(sealedNames().every((name) => name.endsWith(".seal")));
    await removeUnlisted(bench.directory, []);
    assert.equal(sealedNames(), []);
  }
});

test("LSNs that are missing, that go beyond the end, or that do not reach it are refused", async () => {
  const a = frameOf(1, 10, ["a\x001:", "a\x002:"]);
  const b = frameOf(5, 11, ["a\x003:"]);
  await rejects(bench.merge(made([a, b], 5)), "ERR_WAL_CORRUPT");
  await rejects(bench.merge(made([a, b], 5, [[3, 3]])), "ERR_WAL_CORRUPT");
  await rejects(bench.merge(made([a, b], 5, [[4, 4]])), "ERR_WAL_CORRUPT");
  await rejects(bench.merge(made([a], 3)), "ERR_WAL_CORRUPT");
  await rejects(bench.merge(made([a, b], 4, [[3, 4]])), "ERR_WAL_CORRUPT");
  await rejects(bench.merge(made([b], 5)), "ERR_WAL_CORRUPT");
  assert.equal(sealedNames(), []);
  const entries = await bench.merge(made([a, b], 9, [[3, 4], [6, 7], [8, 12]])); // biome-ignore format: as a list
  assert.is(entries[0]?.lastLsn, 9);
  const next = await bench.merge(made([], 12, [[8, 12]]), {
    after: { lsn: 9, hash: entries[0]?.hash as string },
    firstNumber: 2,
    recordedAt: 11,
  });
  const log = await bench.open([...entries, ...next]);
  const runs: unknown[] = [];
  for await (const { kind, header } of log.runs(0, 12)) runs.push([kind, header.firstLsn, header.recordCount]);
  assert.equal(runs, [
    ["data", 1, 2],
    ["void", 3, 2],
    ["data", 5, 1],
    ["void", 6, 2],
    ["void", 8, 2],
    ["void", 10, 3],
  ]);
  assert.is(await log.lsnAt(10), 2);
  assert.is(await log.lsnAt(11), 12);
  await rejects(log.frameOf(3), "ERR_WAL_CORRUPT");
  await log.close();
});

test("a stream with a hole, a version twice, or a body that is no sequence of records is refused", async () => {
  const a = frameOf(1, 10, ["a\x001:", "b\x001:"]);
  await rejects(bench.merge(made([a, frameOf(3, 10, ["a\x003:"])], 3)), "ERR_WAL_CORRUPT");
  await rejects(bench.merge(made([a, frameOf(3, 10, ["a\x001:"])], 3)), "ERR_WAL_CORRUPT");
  const torn = frameOf(3, 10, ["a\x002:xyz"]);
  for (const body of [torn.body.subarray(0, 12), Buffer.concat([torn.body, Buffer.alloc(3)]), Buffer.alloc(0)]) {
    await rejects(bench.merge(made([a, { ...torn, body }], 3)), "ERR_WAL_CORRUPT");
  }
  const long = frameOf(3, 10, [`${"n".repeat(4000)}\x001:`]);
  await rejects(bench.merge(made([a, long], 3)), "ERR_WAL_CORRUPT");
  assert.equal(sealedNames(), []);
});

test("nothing to seal makes no segment", async () => {
  assert.equal(await bench.merge(made([], 0)), []);
  assert.equal(sealedNames(), []);
});

test("a segment ends when its indexes take too much memory", async () => {
  const log = makeLog(seededRandom(2), { frames: 60, streams: 5000, recordsMax: 200, payloadMax: 0 });
  const few = await bench.merge(log);
  const many = await bench.merge(log, { indexBytesMax: 100_000, firstNumber: 100 });
  assert.is(few.length, 1);
  assert.ok(many.length > 4);
  assert.is(many.at(-1)?.hash, few[0]?.hash);
});

test("compression is left out where it does not save an eighth", async () => {
  const random = seededRandom(5);
  const sizeOf = async (payload: Uint8Array, firstNumber: number): Promise<number> => {
    const frame = frameOf(1, 1, [`a\x001:${"?".repeat(payload.length)}`]);
    frame.body.set(payload, frame.body.length - payload.length);
    const log = made([frame], 1);
    const [entry] = (await bench.merge(log, { compression: "deflate", firstNumber })) as [SealedEntry];
    return entry.byteLength;
  };
  // Preamble, LSN page, stream page, filter, root and trailer take a page each.
  const others = 6 * 4096;
  assert.ok((await sizeOf(Buffer.from("varve ".repeat(7000)), 1)) < others + 5000);
  // Base64 has 6 bits in each byte: deflate finds a quarter. Raw bytes do not shrink.
  const noise = Buffer.from(random.bytes(40_000)).toString("base64");
  assert.ok((await sizeOf(Buffer.from(noise), 2)) < others + 45_000);
  assert.ok((await sizeOf(random.bytes(40_000), 3)) > others + 40_000);
});

test("files are listed by number, numbers are never used again, and what is not listed is removed", async () => {
  assert.equal(await listSealed(join(bench.directory, "absent")), []);
  assert.is(await nextSealedNumber(bench.directory, []), 1);
  const log = made([frameOf(1, 10, ["a\x001:"])], 1);
  const entries = await bench.merge(log, { firstNumber: 12 });
  writeFileSync(temporaryPath(bench.directory, 14), "half");
  writeFileSync(sealedPath(bench.directory, 3), "replaced");
  assert.equal(
    (await listSealed(bench.directory)).map(({ number, isTemporary }) => [number, isTemporary]),
    [
      [3, false],
      [12, false],
      [14, true],
    ],
  );
  assert.is(await nextSealedNumber(bench.directory, [{ number: 2 }]), 15);
  assert.is(await nextSealedNumber(bench.directory, [{ number: 40 }]), 41);
  const removed = await removeUnlisted(bench.directory, entries);
  assert.equal(removed, [sealedPath(bench.directory, 3), temporaryPath(bench.directory, 14)]);
  assert.ok(existsSync(sealedPath(bench.directory, 12)));
  assert.ok(existsSync(join(bench.directory, "probe")));
});

test("a source that fails, and a writer that is given up, leave nothing", async () => {
  const failing = async function* () {
    yield frameOf(1, 10, ["a\x001:"]);
    throw new Error("source");
  };
  const options = { io: bench.io, pool: bench.pool, directory: bench.directory, storeId: STORE_ID, keyOf };
  const after = { lsn: 0, hash: CHAIN_START };
  const merging = mergeFrames(failing(), { ...options, firstNumber: 1, after, through: 1 });
  await rejects(merging, (error) => error.message === "source");
  const writer = new SealedWriter({ ...options, firstNumber: 1, after });
  for await (const { header, body } of toAsync(largeLog().frames)) {
    await writer.add({ kind: "data", header, body, leaf: null, goesOn: false });
  }
  await writer.abandon();
  await writer.abandon();
  assert.equal(sealedNames(), []);
});
