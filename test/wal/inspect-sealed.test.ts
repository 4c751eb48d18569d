import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspectSealed, type SealedItem } from "../../src/wal/inspect-sealed.js";
import { sealedPath } from "../../src/wal/sealed/sealed-name.js";
import { assert } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { type MadeLog, makeLog, sealedBench } from "./sealed/sealed-fixture.js";

const test = suite("wal/inspect-sealed");

async function makeSegment(compression: "none" | "deflate"): Promise<{ path: string; made: MadeLog }> {
  const bench = sealedBench();
  const made = makeLog(seededRandom(3), { frames: 80, streams: 40, recordsMax: 5, payloadMax: 400, voidEvery: 9 });
  const [entry] = await bench.merge(made, { blockBytes: 4_000, compression });
  await bench.close();
  return { path: sealedPath(bench.directory, entry?.number ?? 0), made };
}

async function itemsOf(path: string): Promise<SealedItem[]> {
  const items: SealedItem[] = [];
  for await (const item of inspectSealed(path)) items.push(item);
  return items;
}

function isSound(item: SealedItem): boolean {
  return item.kind !== "damaged" && item.kind !== "unsupported" && !(item.kind === "block" && item.damage !== null);
}

/** The file with the byte at the offset changed, under another name. */
function damagedAt(path: string, offset: number): string {
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(offset) ^ 0x5a, offset);
  const copy = join(temporaryDirectory(), "copy.seal");
  writeFileSync(copy, bytes);
  return copy;
}

for (const compression of ["none", "deflate"] as const) {
  test(`a whole segment is shown from its first byte to its last (${compression})`, async () => {
    const { path, made } = await makeSegment(compression);
    const items = await itemsOf(path);
    assert.ok(items.every(isSound));
    assert.equal([items[0]?.kind, items.at(-1)?.kind], ["sealed-preamble", "trailer"]);
    const runs = items.flatMap((item) => (item.kind === "block" ? item.runs : []));
    let nextLsn = 1;
    for (const run of runs) {
      assert.is(run.firstLsn, nextLsn);
      nextLsn += run.recordCount;
    }
    assert.is(nextLsn, made.lastLsn + 1);
    const records = runs.filter(({ kind }) => kind === "data").reduce((sum, { recordCount }) => sum + recordCount, 0);
    assert.is(records, made.records.size);
    const trailer = items.find((item) => item.kind === "trailer")?.trailer;
    const count = (kind: SealedItem["kind"]): number => items.filter((item) => item.kind === kind).length;
    assert.is(count("block"), trailer?.blockCount);
    assert.is(count("page"), (trailer?.lsnPageCount ?? 0) + (trailer?.streamPageCount ?? 0));
    assert.equal([count("name-filter"), count("lsn-root")], [1, 1]);
  });
}

test("damage is named with its offset, and what lies behind it is shown", async () => {
  const { path } = await makeSegment("none");
  const whole = await itemsOf(path);
  for (const [index, item] of whole.entries()) {
    // In blocks once in the header and once in the body.
    for (const within of item.kind === "block" ? [12, 64 + 40] : [12]) {
      const shown = await itemsOf(damagedAt(path, item.fileOffset + within));
      const damaged = shown.filter((one) => !isSound(one));
      assert.equal(
        damaged.map(({ fileOffset }) => fileOffset),
        [item.fileOffset],
        `${item.kind} at ${item.fileOffset} + ${within}`,
      );
      if (item.kind === "trailer") continue; // what is behind the blocks only it can find
      assert.equal(
        shown.filter(isSound).map(({ fileOffset, kind }) => [fileOffset, kind]),
        whole.filter((_, at) => at !== index).map(({ fileOffset, kind }) => [fileOffset, kind]),
      );
    }
  }
});

test("a file that was cut, or is something else, is shown as damage", async () => {
  const { path } = await makeSegment("none");
  const bytes = readFileSync(path);
  for (const length of [0, 10, 4096, 8192, 20_000, bytes.length - 4096]) {
    const copy = join(temporaryDirectory(), "copy.seal");
    writeFileSync(copy, bytes.subarray(0, length));
    assert.ok(
      (await itemsOf(copy)).some((item) => !isSound(item)),
      `${length}`,
    );
  }
  const other = join(temporaryDirectory(), "other.seal");
  writeFileSync(other, Buffer.alloc(50_000, "something else"));
  const items = await itemsOf(other);
  assert.equal(
    items.map((item) => (item.kind === "damaged" ? item.part : item.kind)),
    ["preamble", "trailer"],
  );
});
