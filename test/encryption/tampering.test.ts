/** Somebody who can write the files and has no key: what is changed with its checksums mended is told, and is never taken for a torn end. */

import { cpSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { openReader, openStore, type StoreError } from "../../src/index.js";
import { readManifest, writeManifest } from "../../src/wal/manifest.js";
import { decodeTrailer, partsOf, type SealedTrailer } from "../../src/wal/sealed/sealed-trailer.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import {
  appendEach,
  change,
  contentOf,
  eventsOf,
  frameOffsets,
  keyOf,
  mendFrame,
  mendHeader,
  mendPage,
} from "./support.js";

const test = suite("encryption/tampering");
const encryption = { key: keyOf(1) };
const FRAMES = 4;

let directory = "";
test.beforeEach(() => {
  directory = join(temporaryDirectory(), "store");
});

/** As a crash leaves it, so that the last frames are the end of the log. */
async function crashed(): Promise<{ copy: string; segment: string; offsets: number[] }> {
  const store = await openStore(directory, { encryption });
  await appendEach(store, FRAMES);
  const copy = `${directory}-crashed`;
  cpSync(directory, copy, { recursive: true, filter: (path) => !path.endsWith("/control") });
  await store.close();
  const segment = join(copy, "wal", "core-000", "0000000001.wal");
  return { copy, segment, offsets: frameOffsets(readFileSync(segment)) };
}

async function isRefused(store: string): Promise<StoreError> {
  const before = contentOf(store);
  const error = (await rejects(openStore(store, { encryption }), "ERR_WAL_TAMPERED")) as StoreError;
  await rejects(openReader(store, { encryption }), "ERR_WAL_TAMPERED");
  const after = contentOf(store);
  for (const lock of ["lock", "wal/core-000/owner"])
    for (const files of [before, after]) files.delete(join(store, lock));
  assert.equal([...after.keys()], [...before.keys()]);
  for (const [path, bytes] of before) assert.ok(after.get(path) === bytes, `${path} is as it was`);
  return error;
}

test(
  "a bit of a body, of the tag, the salt, or a field of the header, in any frame, the last one too",
  async () => {
    const { copy, segment, offsets } = await crashed();
    assert.is(offsets.length >= FRAMES, true);
    for (const frame of [0, 1, FRAMES - 1]) {
      const at = offsets[frame] as number;
      // Body, tag, salt, recordedAt.
      for (const [offset, body] of [
        [192, true],
        [210, true],
        [112, false],
        [127, false],
        [132, false],
        [88, false],
      ] as const) {
        const store = `${copy}-${frame}-${offset}`;
        cpSync(copy, store, { recursive: true });
        change(segment.replace(copy, store), (bytes) => {
          bytes[at + offset] = (bytes[at + offset] as number) ^ 1;
          if (body) mendFrame(bytes, at);
          else mendHeader(bytes, at);
          // Whoever changes a header also mends what is chained to it.
          const next = offsets[frame + 1];
          if (next === undefined || bytes.readUInt32LE(next) === 0) return;
          bytes.writeUInt32LE(bytes.readUInt32LE(at + 188), next + 84);
          mendHeader(bytes, next);
        });
        const error = await isRefused(store);
        assert.equal(error.details["offset"], at);
        assert.match(error.message, `the frame at ${at} of segment 1 of core 0`);
      }
    }
  },
  { timeoutMs: 120_000 },
);

test("a frame of another place, and one that is not encrypted", async () => {
  const { copy, segment, offsets } = await crashed();
  const [first = 0, second = 0] = offsets;
  const moved = `${copy}-moved`;
  cpSync(copy, moved, { recursive: true });
  change(segment.replace(copy, moved), (bytes) => {
    // The body and tag of the first frame in the second's place.
    bytes.copy(bytes, second + 192, first + 192, first + 4096);
    bytes.copy(bytes, second + 112, first + 112, first + 128);
    mendFrame(bytes, second);
  });
  await isRefused(moved);

  const plain = await openStore(`${directory}-plain`);
  await appendEach(plain, FRAMES);
  const from = readFileSync(join(`${directory}-plain`, "wal", "core-000", "0000000001.wal"));
  await plain.close();
  const forged = `${copy}-forged`;
  cpSync(copy, forged, { recursive: true });
  change(segment.replace(copy, forged), (bytes) => {
    const [, at = 0] = frameOffsets(from);
    const identity = Buffer.from(bytes.subarray(second + 14, second + 96)); // store, place, LSNs, chain
    from.copy(bytes, second, at, at + 4096);
    for (const [start, end] of [
      [16, 48],
      [84, 96],
    ] as const)
      identity.copy(bytes, second + start, start - 14, end - 14);
    mendHeader(bytes, second);
  });
  const error = await isRefused(forged);
  assert.match(error.message, "is not encrypted");
});

interface SealedStore {
  readonly path: string;
  readonly trailer: SealedTrailer;
  readonly storeCrc: number;
}

async function sealedStore(): Promise<SealedStore> {
  const store = await openStore(directory, { encryption });
  await Promise.all(Array.from({ length: 400 }, (_, index) => appendEach(store, 1, `account-${index}`)));
  for (let index = 0; index < 3000; index++) void store.append("long", { type: "Hush", data: { index } });
  await store.checkpoint();
  await store.close();
  const log = join(directory, "log");
  const path = join(log, readdirSync(log)[0] as string);
  const bytes = readFileSync(path);
  const storeId = bytes.subarray(8, 24);
  const decoded = decodeTrailer(bytes.subarray(bytes.length - 4096), storeId, bytes.length);
  if (decoded.kind !== "trailer") throw new Error(`the trailer is ${decoded.kind}`);
  return { path, trailer: decoded.trailer, storeCrc: crc32(storeId) };
}

test(
  "a block, a page of names or postings, the name filter and the trailer of a sealed segment",
  async () => {
    const { path, trailer, storeCrc } = await sealedStore();
    const parts = partsOf(trailer);
    const mendBlock = (bytes: Buffer, at: number): void => {
      const stored = bytes.subarray(at + 64, at + 64 + bytes.readUInt32LE(at + 44));
      bytes.writeUInt32LE(crc32(stored), at + 56);
      bytes.writeUInt32LE(crc32(bytes.subarray(at, at + 60), storeCrc), at + 60);
      bytes.writeUInt32LE(bytes.readUInt32LE(at + 60), parts.lsnPages + 24 + 24); // the index has the header's CRC
      mendPage(bytes, parts.lsnPages, storeCrc);
    };
    const flip = (bytes: Buffer, at: number): void => {
      bytes[at] = (bytes[at] as number) ^ 1;
    };
    const readAll = async (): Promise<void> => {
      const reader = await openReader(directory, { encryption });
      try {
        await eventsOf(reader);
      } finally {
        await reader.close();
      }
    };
    const readStreams = async (): Promise<void> => {
      const reader = await openReader(directory, { encryption });
      try {
        for (let index = 0; index < 400; index++) await reader.streamVersion(`account-${index}`);
        for await (const _ of reader.readStream("long"));
      } finally {
        await reader.close();
      }
    };
    const lastPage = parts.filter - 4096; // of postings
    type Change = (bytes: Buffer) => void;
    const flipThen =
      (at: number, mend: Change): Change =>
      (bytes) => {
        flip(bytes, at);
        mend(bytes);
      };
    const block = (bytes: Buffer): void => mendBlock(bytes, 4096);
    const page =
      (at: number, seed: number): Change =>
      (bytes) =>
        mendPage(bytes, at, seed);
    const filter = (bytes: Buffer): void => {
      const stored = bytes.subarray(parts.filter, parts.filter + trailer.filterBytes);
      bytes.writeUInt32LE(crc32(stored), parts.trailer + 140);
      mendPage(bytes, parts.trailer, 0);
    };
    const endOfBlock = 4096 + 64 + readFileSync(path).readUInt32LE(4096 + 44);
    const names = parts.streamPages;
    const cases: readonly [what: string, work: Change, read: () => Promise<void>][] = [
      ["a block's body", flipThen(4096 + 64 + 10, block), readAll],
      ["a block's tag", flipThen(endOfBlock - 1, block), readAll],
      ["a block's run count", flipThen(4096 + 40, block), readAll],
      ["a page of names", flipThen(names + 100, page(names, storeCrc)), readStreams],
      ["a page of postings", flipThen(lastPage + 100, page(lastPage, storeCrc)), readStreams],
      ["the name filter", flipThen(parts.filter + 5, filter), readStreams],
      ["the trailer's counts", flipThen(parts.trailer + 88, page(parts.trailer, 0)), readAll],
    ];
    await readAll();
    await readStreams();
    const whole = readFileSync(path);
    for (const [what, work, read] of cases) {
      change(path, work);
      const error = await rejects(read(), (thrown) => "code" in thrown).catch((thrown: unknown) => {
        throw new Error(`${what}: ${String(thrown)}`);
      });
      assert.is((error as StoreError).code, "ERR_WAL_TAMPERED", `${what}: ${error.message}`);
      change(path, (bytes) => void whole.copy(bytes));
    }
    await readAll();
  },
  { timeoutMs: 120_000 },
);

test("a sealed segment of a store that is not encrypted does not pass in one that is", async () => {
  const { path } = await sealedStore();
  change(path, (bytes) => {
    const at = bytes.length - 4096;
    bytes.writeUInt16LE(0, at + 6); // no cipher
    bytes.writeUInt32LE(0, at + 148);
    mendPage(bytes, at, 0);
  });
  await rejects(openStore(directory, { encryption }), "ERR_WAL_TAMPERED");
});

test("a manifest that says that frames may be plain", async () => {
  const store = await openStore(directory, { encryption });
  await appendEach(store, FRAMES);
  await store.close();
  const found = await readManifest(directory);
  if (found.kind !== "manifest" || found.manifest.encryption === undefined) throw new Error("no encrypted manifest");
  const { manifest } = found;
  const plainThrough = 1_000_000;
  const sequence = manifest.sequence + 1;
  await writeManifest(directory, { ...manifest, sequence, encryption: { ...found.manifest.encryption, plainThrough } });
  await rejects(openStore(directory, { encryption }), "ERR_WAL_TAMPERED");
  await rejects(openReader(directory, { encryption }), "ERR_WAL_TAMPERED");
  // And one that says nothing of encryption is not believed by who has a key, nor by who has none.
  await writeManifest(directory, { ...manifest, sequence: sequence + 1, encryption: undefined });
  await rejects(openStore(directory, { encryption }), "ERR_KEY_WRONG");
  await rejects(openStore(directory), "ERR_KEY_MISSING");
});

test("a state of a projection is refused, told of, and built again", async () => {
  const counter = {
    name: "counter",
    handles: "all" as const,
    version: 1,
    init: () => 0,
    apply: (state: number) => state + 1,
    encode: (state: number) => Buffer.from(String(state)),
    decode: async (chunks: AsyncIterable<Uint8Array>) => {
      let text = "";
      for await (const chunk of chunks) text += Buffer.from(chunk).toString();
      return Number(text);
    },
  };
  let store = await openStore(directory, { encryption });
  await appendEach(store, 5);
  await (await store.project(counter)).whenCaughtUp();
  await store.checkpoint();
  await store.close();
  const path = join(directory, "projections", "counter", "v1.checkpoint");
  change(path, (bytes) => {
    // The state's chunk is the second: its payload is a digit and a tag.
    const facts = 64;
    const state = facts + 16 + bytes.readUInt32LE(facts + 4);
    bytes[state + 16] = (bytes[state + 16] as number) ^ 1;
    let chain = bytes.readUInt32LE(facts + 12);
    for (let at = state; at < bytes.length; at += 16 + bytes.readUInt32LE(at + 4)) {
      const payload = bytes.subarray(at + 16, at + 16 + bytes.readUInt32LE(at + 4));
      bytes.writeUInt32LE(crc32(payload), at + 8);
      chain = crc32(bytes.subarray(at, at + 12), chain);
      bytes.writeUInt32LE(chain, at + 12);
    }
  });
  store = await openStore(directory, { encryption });
  const runner = await store.project(counter);
  assert.equal([runner.recovery.from, runner.recovery.refused.map(({ reason }) => reason)], ["zero", ["tampered"]]);
  await runner.whenCaughtUp();
  assert.is(runner.state, 5);
  await store.close();
});
