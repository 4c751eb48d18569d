/** Checkpoint(C) + replay(C + 1 … W) = state, for every C; and whatever a crash leaves behind, a start finds the state. */

import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readCheckpoint } from "../../src/projections/checkpoint-file.js";
import { type RunnerOptions, startProjection } from "../../src/projections/index.js";
import { assert } from "../support/assert.js";
import { type SeededRandom, seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { MemoryFeed, type NumberEvent } from "./memory-feed.js";
import { hashOf, type RunningHash, runningHash } from "./running-hash.js";

const test = suite("projections/checkpoint-replay");
const quiet: RunnerOptions<RunningHash, NumberEvent> = { onReport: () => undefined };

function values(random: SeededRandom, count: number): number[] {
  return Array.from({ length: count }, () => random.integer(2 ** 31));
}

function feedOf(directory: string, random: SeededRandom, given: readonly number[]): MemoryFeed {
  const feed = new MemoryFeed(directory, { batchEvents: 1 + random.integer(40) });
  feed.append("Counted", ...given);
  return feed;
}

test("a checkpoint at any LSN and the events after it give the state", async () => {
  const random = seededRandom();
  for (let round = 0; round < 60; round += 1) {
    const all = values(random, random.integer(300));
    const cut = random.integer(all.length + 1);
    const feed = feedOf(temporaryDirectory(), random, all.slice(0, cut));
    const before = await startProjection(feed, runningHash());
    await before.whenCaughtUp();
    await before.close();
    feed.append("Counted", ...all.slice(cut));
    const after = await startProjection(feed, runningHash());
    assert.is(after.recovery.lsn, cut);
    await after.whenCaughtUp();
    assert.equal(after.state, hashOf(all), `checkpoint at ${cut} of ${all.length}`);
    await after.close();
  }
});

test("checkpoints taken at random moments while events arrive each hold the state of their LSN", async () => {
  const random = seededRandom();
  const all: number[] = [];
  const directory = temporaryDirectory();
  const file = join(directory, "projections", "running-hash", "v1.checkpoint");
  const feed = new MemoryFeed(directory, { batchEvents: 7 });
  const runner = await startProjection(feed, runningHash(), { checkpointEveryEvents: 50 });
  for (let round = 0; round < 150; round += 1) {
    const more = values(random, 1 + random.integer(20));
    all.push(...more);
    feed.append("Counted", ...more);
    for (let turns = random.integer(4); turns > 0; turns -= 1) await new Promise((resolve) => setImmediate(resolve));
    if (random.integer(4) > 0) continue;
    const lsn = await runner.checkpoint();
    if (lsn === 0) continue;
    const found = await readCheckpoint(file, async () => null, runningHash().decode);
    if (found.kind !== "usable") throw new Error(JSON.stringify(found));
    // The runner's own next checkpoint may have replaced it.
    assert.ok(found.facts.lsn >= lsn);
    assert.equal(found.state, hashOf(all.slice(0, found.facts.lsn)), `the checkpoint at LSN ${found.facts.lsn}`);
  }
  await runner.whenCaughtUp();
  assert.equal(runner.state, hashOf(all));
  await runner.close();
});

test("whatever mixture of old, new, torn and temporary files a crash leaves, the state is found", async () => {
  const random = seededRandom();
  for (let round = 0; round < 60; round += 1) {
    const all = values(random, 20 + random.integer(100));
    const directory = temporaryDirectory();
    const feed = feedOf(directory, random, []);
    const file = join(directory, "projections", "running-hash", "v1.checkpoint");
    const versions: Buffer[] = [];
    const runner = await startProjection(feed, runningHash());
    for (const value of all) {
      feed.append("Counted", value);
      if (random.integer(20) > 0) continue;
      await runner.whenCaughtUp();
      await runner.checkpoint();
      versions.push(readFileSync(file));
    }
    await runner.whenCaughtUp();
    await runner.close();
    versions.push(readFileSync(file));

    const left = random.pick(versions);
    const torn = left.subarray(0, random.integer(left.length));
    if (random.integer(3) === 0) rmSync(file);
    else writeFileSync(file, random.pick([left, left, torn]));
    if (random.integer(2) === 0)
      writeFileSync(`${file}.0123456789abcdef.tmp`, random.pick([left, torn, random.bytes(30)]));

    // Twice: what the first start leaves must be a start too.
    for (let start = 0; start < 2; start += 1) {
      const again = await startProjection(feed, runningHash(), quiet);
      await again.whenCaughtUp();
      assert.equal(again.state, hashOf(all));
      await again.close();
      assert.not(existsSync(`${file}.0123456789abcdef.tmp`));
    }
  }
});
