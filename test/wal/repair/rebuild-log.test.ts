/** What a rebuild does with records that were removed, where an older copy of their segment still has them. */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { writeManifest } from "../../../src/wal/manifest.js";
import { rebuildLog } from "../../../src/wal/repair/rebuild-log.js";
import { planRepair, type RepairPlan } from "../../../src/wal/repair/repair-plan.js";
import { type Survey, surveyStore } from "../../../src/wal/salvage/survey.js";
import type { Cut } from "../../../src/wal/sealed/removal.js";
import { compactSegments, type RewriteOptions, scavengeSegments } from "../../../src/wal/sealed/rewrite-segments.js";
import type { SealedEntry } from "../../../src/wal/sealed/sealed-entry.js";
import { BLOCK_HEADER_BYTES, PAGE_BYTES } from "../../../src/wal/sealed/sealed-format.js";
import { nextSealedNumber, sealedDirectory, sealedPath } from "../../../src/wal/sealed/sealed-name.js";
import { assert } from "../../support/assert.js";
import { suite } from "../../support/suite.js";
import {
  type Bench,
  frameOf,
  keyOf,
  type MadeLog,
  recordsIn,
  STORE_ID,
  sealedBench,
} from "../sealed/sealed-fixture.js";

const test = suite("wal/repair/rebuild-log");

/** So many bytes that each frame is in a block of its own. */
const PAYLOAD = "x".repeat(300);
const BLOCK_BYTES = 256;

interface Repaired {
  readonly survey: Survey;
  readonly plan: RepairPlan;
  readonly records: readonly string[];
  readonly heads: ReadonlyMap<string, unknown>;
}

/** A frame of each list of "name@version". */
function madeOf(...frames: readonly (readonly string[])[]): MadeLog {
  let lastLsn = 0;
  const made = frames.map((records) => {
    const firstLsn = lastLsn + 1;
    lastLsn += records.length;
    return frameOf(
      firstLsn,
      firstLsn,
      records.map((record) => `${record.replace("@", "\0")}:${PAYLOAD}`),
    );
  });
  return { frames: made, voids: [], lastLsn, streams: new Map(), records: new Map() };
}

async function optionsOf({ io, pool, directory }: Bench, entries: readonly SealedEntry[]): Promise<RewriteOptions> {
  const firstNumber = await nextSealedNumber(directory, entries);
  return { io, pool, directory, storeId: STORE_ID, firstNumber, keyOf, blockBytes: BLOCK_BYTES };
}

/** The segments without records of streams below a version; the old ones stay, as where a purge died before it removed them. */
async function scavenged(
  bench: Bench,
  entries: readonly SealedEntry[],
  below: Readonly<Record<string, number>>,
): Promise<readonly SealedEntry[]> {
  const cuts = Object.entries(below).map(([name, beforeVersion]): [string, Cut] => [
    name,
    { beforeVersion, throughLsn: 0 },
  ]);
  const removal = { streams: new Map(cuts), prefixes: [], sparedPrefix: null };
  return (await scavengeSegments(entries, removal, await optionsOf(bench, entries))).entries;
}

/** `listed`: by the manifest; null: there is none. */
async function repaired(bench: Bench, listed: readonly SealedEntry[] | null): Promise<Repaired> {
  const store = dirname(bench.directory);
  mkdirSync(join(store, "wal"));
  if (listed !== null) {
    const storeId = Buffer.from(STORE_ID).toString("hex");
    const checkpointLsn = listed.at(-1)?.lastLsn ?? 0;
    const incarnation = { incarnation: 1, firstLsn: 1, lastLsn: null, firstSegments: [], voids: [] };
    const at = { sequence: 1, storeId, createdAt: 1, checkpointLsn, horizonLsn: 0 };
    await writeManifest(store, { ...at, sealed: listed, incarnations: [incarnation] });
  }
  const survey = await surveyStore(store, null);
  const plan = await planRepair(survey, keyOf, () => {});
  const { io, pool, directory } = bench;
  const firstNumber = await nextSealedNumber(sealedDirectory(store), []);
  const place = { io, pool, directory, firstNumber, keyOf, keys: null, onProgress: () => {} };
  const entries = await rebuildLog(survey, plan, place);
  const log = await bench.open(entries);
  try {
    const records: string[] = [];
    for await (const frame of log.frames(0, log.lastLsn)) records.push(...recordsIn(frame).map(nameOf));
    const heads = new Map<string, unknown>();
    for (const name of ["a", "b", "c"]) heads.set(name, await log.streamHead(Buffer.from(name)));
    return { survey, plan, records: records.filter((record) => record !== ""), heads };
  } finally {
    await log.close();
  }
}

function nameOf(record: string): string {
  return record === "" ? "" : record.slice(0, record.indexOf(":")).replace("\0", "@");
}

/** The first run of a segment's first block is no run any more, so that no record of the block can be found. */
function damageFirstBlock({ directory }: Bench, { number }: SealedEntry): void {
  const path = sealedPath(directory, number);
  const bytes = readFileSync(path);
  const start = PAGE_BYTES + BLOCK_HEADER_BYTES;
  writeFileSync(path, bytes.fill(0, start, start + 16));
}

test("what was removed of a stream with nothing left stays so where an older copy of a damaged block is read", async () => {
  const bench = sealedBench();
  try {
    // All of a, in one block; all of b, the end of it in another block.
    const made = madeOf(["a@1", "b@1", "c@1", "b@2"], ["c@2", "b@3"], ["c@3"]);
    const old = await bench.merge(made, { blockBytes: BLOCK_BYTES });
    const entries = await scavenged(bench, old, { a: 2, b: 4 });
    damageFirstBlock(bench, entries[0] as SealedEntry);
    const { survey, plan, records, heads } = await repaired(bench, entries);
    assert.is(survey.damage.length, 1);
    assert.equal([plan.lost, plan.dropped, plan.keptEvents, plan.droppedEvents], [[], [], 3, 0]);
    assert.equal(records, ["c@1", "c@2", "c@3"]);
    assert.equal(heads.get("a"), { version: 1, lsn: 1 });
    assert.equal(heads.get("b"), { version: 3, lsn: 6 });
    assert.equal(heads.get("c"), { version: 3, lsn: 7 });
  } finally {
    await bench.close();
  }
});

test("a stream of which a later segment has nothing left has nothing in an older copy of an earlier one", async () => {
  const bench = sealedBench();
  try {
    const [first, second] = [madeOf(["a@1", "c@1"]), madeOf(["a@1", "c@1"], ["a@2"], ["c@2", "a@3"])];
    const before = await bench.merge(first, { blockBytes: BLOCK_BYTES });
    const after = { lsn: first.lastLsn, hash: before[0]?.hash ?? "" };
    const rest = { ...second, frames: second.frames.slice(1) };
    const old = [...before, ...(await bench.merge(rest, { blockBytes: BLOCK_BYTES, firstNumber: 2, after }))];
    const entries = await scavenged(bench, await scavenged(bench, old, { a: 2 }), { a: 4 });
    assert.equal(
      entries.map(({ number }) => number),
      [3, 4],
    );
    rmSync(sealedPath(bench.directory, 3));
    const { plan, records, heads } = await repaired(bench, entries);
    assert.equal([plan.dropped, plan.keptEvents, records], [[], 2, ["c@1", "c@2"]]);
    assert.equal(heads.get("a"), { version: 3, lsn: 5 });
  } finally {
    await bench.close();
  }
});

test("without a manifest two copies of a segment may say of the same record that it was removed", async () => {
  const bench = sealedBench();
  try {
    const old = await bench.merge(madeOf(["a@1", "c@1"], ["a@2", "b@1"]), { blockBytes: BLOCK_BYTES });
    const entries = await scavenged(bench, old, { a: 3 });
    await compactSegments(entries, await optionsOf(bench, entries));
    rmSync(sealedPath(bench.directory, (old[0] as SealedEntry).number));
    const { survey, plan, records, heads } = await repaired(bench, null);
    assert.equal(
      survey.emptied.map(({ version, lsn }) => [version, lsn]),
      [
        [2, 3],
        [2, 3],
      ],
    );
    assert.equal([plan.keptEvents, records], [2, ["c@1", "b@1"]]);
    assert.equal(heads.get("a"), { version: 2, lsn: 3 });
  } finally {
    await bench.close();
  }
});
