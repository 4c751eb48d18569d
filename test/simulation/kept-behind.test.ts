import { isStoreError, type Store } from "../../src/index.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { EVENT_TYPE } from "./history.js";
import { STORE_DIRECTORY } from "./inspection.js";
import { readLog } from "./read-log.js";
import { SimulatedDisk } from "./simulated-disk.js";
import { loadStores, World } from "./world.js";

const test = suite("simulation/kept-behind");
const OPTIONS = { segmentBytes: 64 * 1024, busyWaitMs: 10_000 };
/** Longer than a write takes, and than it takes to see that somebody is dead. */
const SETTLED_MS = 200;
const SLOW_MS = 2000;

function append(store: Store, stream: string, expectedVersion?: number): Promise<unknown> {
  const options = expectedVersion === undefined ? {} : { expectedVersion };
  return store.append(stream, { type: EVENT_TYPE, data: {} }, options);
}

/** One writer's write takes long; behind it another has written to "s", whole, and died of it before anybody could be told. */
async function keptBehind(world: World): Promise<Store> {
  const { faults, timeline } = world;
  const alive = await world.start(0, "alive").varve.openStore(STORE_DIRECTORY, OPTIONS);
  const doomed = world.start(1, "doomed");
  const dead = await doomed.varve.openStore(STORE_DIRECTORY, OPTIONS);
  await timeline.sleep(SETTLED_MS * 1000);
  faults.extraWriteUs = () => SLOW_MS * 1000;
  append(alive, "slow").catch(() => {});
  await timeline.sleep(1000);
  faults.extraWriteUs = () => 0;
  append(dead, "s").catch(() => {});
  await timeline.sleep(10_000);
  doomed.process.kill();
  return alive;
}

for (const who of ["who opens the store next", "a survivor"] as const) {
  test(`what a dead writer wrote behind another's write is not judged by before it can be read, by ${who}`, async () => {
    await loadStores();
    const world = new World(1, new SimulatedDisk());
    const run = async (): Promise<void> => {
      const alive = await keptBehind(world);
      const store =
        who === "who opens the store next"
          ? await world.start(2, "next").varve.openStore(STORE_DIRECTORY, OPTIONS)
          : alive;
      let outcome = "waiting";
      append(store, "s", 0).then(
        () => (outcome = "appended"),
        (error: unknown) => (outcome = isStoreError(error) ? error.code : String(error)),
      );
      await world.timeline.sleep(SETTLED_MS * 1000);
      assert.is(outcome, "waiting");
      assert.is(await store.streamVersion("s"), 0);
      await world.timeline.sleep(SLOW_MS * 1000);
      assert.is(outcome, "ERR_EVENTS_VERSION_CONFLICT");
      assert.is(await store.streamVersion("s"), 1);
      assert.is((await readLog(store.readStream("s"))).length, 1);
      // The dead one's slot is free again as soon as nobody has to wait for it.
      await append(store, "s", 1);
      const last = await world.start(3, "last").varve.openStore(STORE_DIRECTORY, OPTIONS);
      assert.equal(
        last.cores().map(({ isLive, pid }) => isLive && pid > 0),
        last.cores().map(() => true),
      );
      assert.is(await last.streamVersion("s"), 2);
    };
    await world.until(run(), who);
  });
}
