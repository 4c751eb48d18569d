import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { EVENT_TYPE } from "./history.js";
import { STORE_DIRECTORY } from "./inspection.js";
import { readLog } from "./read-log.js";
import { SimulatedDisk } from "./simulated-disk.js";
import { loadStores, World } from "./world.js";

const test = suite("simulation/named-directory");
const SEGMENT_BYTES = 64 * 1024;
const BACKUP_DIRECTORY = "/backups/monday";

/** Of what is not durable nothing is left. */
function withoutPower(world: World): void {
  world.boot(world.machine.powerCut("none", world.chance));
}

/** As somebody leaves it who dies between making a directory and making its name durable. */
function diskWith(...directories: readonly string[]): SimulatedDisk {
  const disk = new SimulatedDisk();
  for (const directory of directories) disk.makeDirectory(directory);
  return disk;
}

test("who finds the directory that another has made for a store makes its name durable before anything is acknowledged", async () => {
  await loadStores();
  const world = new World(1, diskWith(STORE_DIRECTORY));
  const append = async (): Promise<void> => {
    const store = await world.start(0, "first").varve.openStore(STORE_DIRECTORY, { segmentBytes: SEGMENT_BYTES });
    await store.append("s", { type: EVENT_TYPE, data: {} });
  };
  await world.until(append(), "an append");
  withoutPower(world);
  const read = async (): Promise<number> => {
    const store = await world.start(1, "second").varve.openStore(STORE_DIRECTORY, { segmentBytes: SEGMENT_BYTES });
    return (await readLog(store.readAll())).length;
  };
  assert.is(await world.until(read(), "reading"), 1);
});

test("so does who backs up into directories that another has made", async () => {
  await loadStores();
  const world = new World(2, diskWith("/backups", BACKUP_DIRECTORY));
  const backup = async (): Promise<void> => {
    const store = await world.start(0, "first").varve.openStore(STORE_DIRECTORY, { segmentBytes: SEGMENT_BYTES });
    await store.append("s", { type: EVENT_TYPE, data: {} });
    await store.backup(BACKUP_DIRECTORY);
  };
  await world.until(backup(), "a backup");
  withoutPower(world);
  const restore = async (): Promise<number> => {
    const { varve } = world.start(1, "second");
    await varve.restoreStore(BACKUP_DIRECTORY, "/again");
    return (await readLog((await varve.openStore("/again", { segmentBytes: SEGMENT_BYTES })).readAll())).length;
  };
  assert.is(await world.until(restore(), "a restore"), 1);
});
