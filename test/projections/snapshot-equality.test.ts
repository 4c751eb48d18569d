/** With snapshots and without them a fold is the same: after anything that happens to streams, and after kills. */

import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Aggregate, openStore, type RecordedEvent, type Store } from "../../src/index.js";
import { assert } from "../support/assert.js";
import { runChild } from "../support/child-process.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("projections/snapshot-equality");
const CHILD = new URL("./children/aggregating.js", import.meta.url);
const ROUNDS = 60;
const KILLS = 3;

type Bank = { Deposited: { cents: number } };
type Account = { cents: number; versions: number[] };

const account: Aggregate<Account, RecordedEvent<Bank>> = {
  initial: () => ({ cents: 0, versions: [] }),
  evolve: ({ cents, versions }, { data, version }) => ({ cents: cents + data.cents, versions: [...versions, version] }),
};
const kept: typeof account = { ...account, snapshot: { name: "account", version: 1, every: 2 } };

/** What has an effect on what a reader sees of a stream. Some of it is refused, as it should be: then nothing happens. */
async function happen(store: Store<Bank>, stream: string, random: ReturnType<typeof seededRandom>): Promise<void> {
  const version = await store.streamVersion(stream);
  switch (random.integer(16)) {
    case 0:
      await store.truncateStream(stream, { before: 1 + random.integer(version + 1) });
      return;
    case 1:
      await store.deleteStream(stream).catch(() => {});
      return;
    case 2:
      await store.retainStream(stream, random.integer(2) === 0 ? {} : { maxCount: 1 + random.integer(8) });
      return;
    case 3:
      await store.deleteStreams(stream);
      return;
    case 4:
      await store.scavenge();
      return;
    case 5:
      await store.truncateBefore(1 + random.integer(store.watermark + 1), { archive: "none" });
      return;
    case 6:
      await store.checkpoint();
      return;
    default:
      for (let count = random.integer(4); count >= 0; count--) {
        await store.append(stream, { type: "Deposited", data: { cents: random.integer(100) } });
      }
  }
}

test(
  "after whatever happens to streams a fold from a snapshot is the fold from the first event",
  async () => {
    const random = seededRandom();
    const directory = join(temporaryDirectory(), "store");
    let store = await openStore<Bank>(directory);
    let snapshotCount = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const stream = random.pick(["a", "b", "c"]);
      await happen(store, stream, random);
      for (const each of ["a", "b", "c"]) {
        const whole = await store.aggregateStream(each, account);
        const from = await store.aggregateStream(each, kept);
        assert.equal([from.state, from.version], [whole.state, whole.version], `round ${round}, stream ${each}`);
        if (from.snapshotVersion > 0) snapshotCount++;
      }
      if (random.integer(3) === 0) await delay(2); // for what is being written
      if (random.integer(8) > 0) continue;
      await store.close();
      store = await openStore<Bank>(directory);
    }
    await store.close();
    assert.ok(snapshotCount > 0, "folds began at snapshots");
  },
  { timeoutMs: 120_000 },
);

test(
  "killed at any moment, a fold from what snapshot there is is the fold from the first event",
  async () => {
    const random = seededRandom();
    const directory = join(temporaryDirectory(), "store");
    let version = 0;
    let usedCount = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const [folds, restMs] = [5 + random.integer(10), random.integer(4)];
      const end = await runChild(CHILD, { arguments: [directory, String(folds), String(restMs)] });
      assert.is(end.signal, "SIGKILL", end.stderr);
      const store = await openStore<Bank>(directory);
      const whole = await store.aggregateStream("a", account);
      const from = await store.aggregateStream("a", kept);
      assert.equal([from.state, from.version], [whole.state, whole.version]);
      if (from.snapshotVersion > 0) usedCount++;
      ({ version } = whole);
      await store.close();
    }
    assert.ok(version >= KILLS * 4 && usedCount > 0, `version ${version}, ${usedCount} snapshots were used`);
  },
  { timeoutMs: 120_000 },
);
