import { ContentArena } from "../../../src/projections/graph/content-arena.js";
import { writeProperties } from "../../../src/projections/graph/property.js";
import { WireWriter } from "../../../src/projections/graph/wire.js";
import { assert, sameBytes } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";

const test = suite("projections/graph/content-arena");
const random = seededRandom();

interface Stored {
  readonly reference: number;
  readonly label: number;
  readonly bytes: Uint8Array;
}

function check(arena: ContentArena, { reference, label, bytes }: Stored): void {
  arena.open(reference);
  assert.is(arena.label, label);
  sameBytes(arena.bytes.subarray(arena.start, arena.end), bytes);
}

function store(arena: ContentArena, label: number, bytes: Uint8Array): Stored {
  const margin = Buffer.concat([Buffer.alloc(3, 0xff), bytes, Buffer.alloc(3, 0xff)]);
  return { label, bytes, reference: arena.store(label, margin, 3, 3 + bytes.length) };
}

function stored(arena: ContentArena): Stored[] {
  const all: Stored[] = [];
  const label = () => random.pick([0, 1, 127, 128, 20_000, 3_000_000]);
  for (let count = 0; count < 3000; count += 1) all.push(store(arena, label(), random.bytes(random.integer(300))));
  // One larger than a chunk, in the middle of a chunk that goes on being filled afterwards.
  all.push(store(arena, 5, new Uint8Array(5 * 2 ** 20).fill(9)));
  for (let count = 0; count < 60; count += 1) all.push(store(arena, label(), random.bytes(200_000)));
  return all;
}

test("keeps every record where it is, over several chunks and beside records larger than one", () => {
  const arena = new ContentArena();
  const all = stored(arena);
  for (const each of all) check(arena, each);
});

test("costs nothing for a label without properties, and less than a chunk while it is small", () => {
  const arena = new ContentArena();
  const bare = store(arena, 12, new Uint8Array(0));
  check(arena, bare);
  assert.equal([...arena.used()], []);
  store(arena, 1, Uint8Array.of(1, 2, 3));
  assert.ok(([...arena.used()][0]?.buffer.byteLength ?? 0) <= 4096);
});

test("goes on after a checkpoint exactly as it would have without", () => {
  const arena = new ContentArena();
  const all = stored(arena);
  const used = Array.from(arena.used(), (chunk) => Uint8Array.from(chunk));
  const restored = new ContentArena();
  let index = 0;
  for (const chunk of restored.restore(
    used.map((each) => each.length),
    arena.filling,
  )) {
    chunk.set(used[index] ?? []);
    index += 1;
  }
  for (const each of all) check(restored, each);
  for (let count = 0; count < 500; count += 1) {
    const bytes = random.bytes(1 + random.integer(30_000));
    assert.is(store(restored, count, bytes).reference, store(arena, count, bytes).reference);
  }
  sameBytes(Buffer.concat([...restored.used()]), Buffer.concat([...arena.used()]));
});

test("keeps only what is asked for, shared records once, and goes on as one that was never fuller", () => {
  const arena = new ContentArena();
  const all = stored(arena);
  const bare = store(arena, 12, new Uint8Array(0));
  const wanted = [...all.filter((_, index) => index % 3 === 0), bare];
  // Some of them are asked for more than once.
  const asked = [...wanted, ...wanted.slice(0, 50)];
  const moved: Stored[] = [];
  arena.keepOnly((newPlaceOf) => {
    for (const each of asked) moved.push({ ...each, reference: newPlaceOf(each.reference) });
  });
  for (const each of moved) check(arena, each);
  const fresh = new ContentArena();
  const references = wanted.map(({ label, bytes }) => store(fresh, label, bytes).reference);
  assert.equal(
    moved.map(({ reference }) => reference),
    [...references, ...references.slice(0, 50)],
  );
  for (let count = 0; count < 100; count += 1) {
    const bytes = random.bytes(1 + random.integer(30_000));
    assert.is(store(arena, count, bytes).reference, store(fresh, count, bytes).reference);
  }
  sameBytes(Buffer.concat([...arena.used()]), Buffer.concat([...fresh.used()]));
  arena.keepOnly(() => {});
  assert.equal([...arena.used()], []);
});

test("equal is what holds the same label and properties, in whatever order", () => {
  const arena = new ContentArena();
  const reference = (label: number, properties: object): number => {
    const writer = new WireWriter();
    writeProperties(writer, properties);
    return arena.store(label, writer.bytes, 0, writer.length);
  };
  const one = reference(1, { a: 1, b: "x" });
  assert.ok(arena.same(one, reference(1, { b: "x", a: 1 })));
  assert.not(arena.same(one, reference(2, { a: 1, b: "x" })));
  assert.not(arena.same(one, reference(1, { a: 1, b: "y" })));
  assert.not(arena.same(one, reference(1, { a: 1 })));
  assert.not(arena.same(reference(1, { a: 1 }), one));
  assert.ok(arena.same(reference(3, {}), reference(3, {})));
});
