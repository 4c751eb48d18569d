import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CheckpointReading, readCheckpoint, writeCheckpoint } from "../../src/projections/checkpoint-file.js";
import type { CheckpointFacts } from "../../src/projections/checkpoint-format.js";
import { assert, rejects, sameBytes } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("projections/checkpoint-file");

const facts: CheckpointFacts = {
  name: "p",
  version: 1,
  lsn: 7,
  witness: null,
  storeId: null,
  skippedEvents: 0,
  parked: [],
};

function read(file: string): Promise<CheckpointReading<Uint8Array[]>> {
  return readCheckpoint(file, async () => null, collect);
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const collected: Uint8Array[] = [];
  for await (const chunk of chunks) collected.push(chunk);
  return collected;
}

function stateOf(reading: CheckpointReading<Uint8Array[]>): Uint8Array[] {
  if (reading.kind !== "usable") throw new Error(JSON.stringify(reading));
  return reading.state;
}

test("gives back the facts and the very pieces, in a directory that was not there", async () => {
  const file = join(temporaryDirectory(), "projections", "p", "v1.checkpoint");
  const random = seededRandom();
  const lengths = [0, 1, 0, 4095, 70_000, 1024 * 1024 - 16, 1024 * 1024, 1024 * 1024 + 1, 3_000_000, 5];
  const pieces = lengths.map((length) => random.bytes(length));
  const fileBytes = await writeCheckpoint(file, facts, pieces);
  assert.is(fileBytes, readFileSync(file).length);
  const reading = await read(file);
  if (reading.kind !== "usable") throw new Error(JSON.stringify(reading));
  assert.equal(reading.facts, facts);
  assert.is(reading.state.length, pieces.length);
  for (const [index, piece] of pieces.entries()) {
    const given = reading.state[index] ?? new Uint8Array(0);
    sameBytes(given, piece);
    assert.is(given.byteOffset, 0);
    assert.is(given.buffer.byteLength, piece.length);
  }
});

test("the documented example has the documented size, and the same state gives the same bytes", async () => {
  const directory = temporaryDirectory();
  const [first, second] = [join(directory, "a"), join(directory, "b")];
  assert.is(await writeCheckpoint(first, facts, new Uint8Array(0)), 16 + 16 + 92 + 16 + 16);
  await writeCheckpoint(second, facts, [new Uint8Array(0)]);
  sameBytes(readFileSync(first), readFileSync(second));
});

test("a state of no pieces is a state", async () => {
  const file = join(temporaryDirectory(), "c");
  await writeCheckpoint(file, facts, []);
  assert.equal(stateOf(await read(file)), []);
});

test("an encoder may reuse its buffer", async () => {
  const file = join(temporaryDirectory(), "c");
  const buffer = new Uint8Array(2_000_000);
  const encode = function* (): Iterable<Uint8Array> {
    for (const [value, length] of [
      [1, 10],
      [2, buffer.length],
      [3, 10],
    ] as const) {
      yield buffer.fill(value).subarray(0, length);
    }
  };
  await writeCheckpoint(file, facts, encode());
  assert.equal(
    stateOf(await read(file)).map((piece) => [piece[0], piece[piece.length - 1], piece.length]),
    [
      [1, 1, 10],
      [2, 2, 2_000_000],
      [3, 3, 10],
    ],
  );
});

test("no checkpoint is absent", async () => {
  assert.equal(await read(join(temporaryDirectory(), "c")), { kind: "absent" });
});

test("a change of any byte is damage, and decode sees no wrong byte", async () => {
  const file = join(temporaryDirectory(), "c");
  const pieces = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5)];
  await writeCheckpoint(file, facts, pieces);
  const whole = readFileSync(file);
  for (let offset = 0; offset < whole.length; offset += 1) {
    for (const flip of [0x01, 0x80, 0xff]) {
      const changed = Buffer.from(whole);
      changed[offset] = (changed[offset] ?? 0) ^ flip;
      writeFileSync(file, changed);
      let seen = 0;
      const reading = await readCheckpoint(
        file,
        async () => null,
        async (chunks) => {
          for await (const chunk of chunks) {
            sameBytes(chunk, pieces[seen] ?? new Uint8Array(0));
            seen += 1;
          }
        },
      );
      assert.is(reading.kind === "refused" && reading.reason, "damaged", `offset ${offset}`);
    }
  }
});

test("a file that is cut anywhere, or goes on after its end, is damage", async () => {
  const file = join(temporaryDirectory(), "c");
  await writeCheckpoint(file, facts, [Uint8Array.of(1, 2, 3)]);
  const whole = readFileSync(file);
  const others = [Buffer.concat([whole, Buffer.alloc(1)]), Buffer.concat([whole, whole.subarray(-16)])];
  for (let length = 0; length < whole.length; length += 1) others.push(whole.subarray(0, length));
  for (const other of others) {
    writeFileSync(file, other);
    const reading = await read(file);
    assert.is(reading.kind === "refused" && reading.reason, "damaged", `${other.length} bytes`);
  }
});

test("pieces that change places, or come twice, or not at all, are damage", async () => {
  const file = join(temporaryDirectory(), "c");
  await writeCheckpoint(file, facts, [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)]);
  const whole = readFileSync(file);
  const end = whole.length - 16;
  const piece = (index: number): Buffer => whole.subarray(end - 17 * (3 - index), end - 17 * (2 - index));
  const before = whole.subarray(0, end - 17 * 3);
  for (const order of [
    [1, 0, 2],
    [0, 0, 1, 2],
    [0, 2],
    [0, 1],
    [1, 2],
  ]) {
    writeFileSync(file, Buffer.concat([before, ...order.map(piece), whole.subarray(end)]));
    const reading = await read(file);
    assert.is(reading.kind === "refused" && reading.reason, "damaged", `${order}`);
  }
});

test("what decode throws, or leaves unread, makes the checkpoint unusable, not the reading fail", async () => {
  const file = join(temporaryDirectory(), "c");
  await writeCheckpoint(file, facts, [Uint8Array.of(1), Uint8Array.of(2)]);
  const throwing = await readCheckpoint(
    file,
    async () => null,
    () => {
      throw new Error("an old layout");
    },
  );
  assert.equal(throwing, { kind: "refused", reason: "not-decodable", message: "an old layout" });
  const lazy = await readCheckpoint(
    file,
    async () => null,
    async (chunks) => {
      for await (const chunk of chunks) return chunk;
      return null;
    },
  );
  assert.is(lazy.kind === "refused" && lazy.reason, "not-decodable");
});

test("a decode that hides damage is not believed", async () => {
  const file = join(temporaryDirectory(), "c");
  await writeCheckpoint(file, facts, [Uint8Array.of(1), Uint8Array.of(2)]);
  const whole = readFileSync(file);
  writeFileSync(file, whole.subarray(0, -1));
  const reading = await readCheckpoint(
    file,
    async () => null,
    (chunks) => collect(chunks).catch(() => []),
  );
  assert.is(reading.kind === "refused" && reading.reason, "damaged");
});

test("refused facts keep the state from being decoded, and a failing judge is no fault of the file", async () => {
  const file = join(temporaryDirectory(), "c");
  await writeCheckpoint(file, facts, [Uint8Array.of(1)]);
  const refused = await readCheckpoint(
    file,
    async (found) => ({ reason: "other-store", message: `LSN ${found.lsn}` }),
    () => assert.unreachable("decoded a refused state"),
  );
  assert.equal(refused, { kind: "refused", reason: "other-store", message: "LSN 7" });
  const failing = readCheckpoint(file, () => Promise.reject(new Error("the log cannot be read")), collect);
  await rejects(failing, (error) => error.message === "the log cannot be read");
});

test("a directory in a checkpoint's place is refused as unreadable", async () => {
  const file = join(temporaryDirectory(), "c");
  mkdirSync(file);
  const reading = await read(file);
  assert.is(reading.kind === "refused" && reading.reason, "unreadable");
});

test("an encoder that fails, or gives something else than bytes, leaves the old checkpoint as it was", async () => {
  const file = join(temporaryDirectory(), "c");
  await writeCheckpoint(file, facts, [Uint8Array.of(1)]);
  const before = readFileSync(file);
  const failing = function* (): Iterable<Uint8Array> {
    yield new Uint8Array(2_000_000);
    throw new Error("encode failed");
  };
  await rejects(writeCheckpoint(file, facts, failing()), (error) => error.message === "encode failed");
  const wrong = ["text"] as unknown as Uint8Array[];
  await rejects(writeCheckpoint(file, facts, wrong), (error) => error instanceof TypeError);
  sameBytes(readFileSync(file), before);
});

test("a write is complete before its name appears", async () => {
  const directory = temporaryDirectory();
  const file = join(directory, "c");
  const seen: string[][] = [];
  const encode = function* (): Iterable<Uint8Array> {
    seen.push(readdirSync(directory));
    yield Uint8Array.of(1);
    seen.push(readdirSync(directory));
  };
  await writeCheckpoint(file, facts, encode());
  assert.is(seen.length, 2);
  for (const names of seen) assert.match(names.join(), /^c\.[0-9a-f]{16}\.tmp$/);
  assert.ok(existsSync(file));
  assert.equal(readdirSync(directory), ["c"]);
});

test("what cannot be read is refused as unreadable", async () => {
  const file = join(temporaryDirectory(), "c");
  mkdirSync(file);
  const reading = await read(file);
  assert.is(reading.kind === "refused" && reading.reason, "unreadable");
});
