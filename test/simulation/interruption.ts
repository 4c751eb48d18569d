/** Something that a process is to finish, and is not let: it dies at a random operation, or the power fails, and the next one goes on. */

import type { Chance } from "./chance.js";
import type { Varve } from "./realms.js";
import type { SimulatedDisk } from "./simulated-disk.js";
import { CRASH_KINDS } from "./simulated-file.js";
import type { SimulatedProcess } from "./simulated-process.js";
import type { World } from "./world.js";

const REALM = 0;
/** Behind it everything that was in flight has landed. */
const LANDING_US = 3_000_000;
/** In how many operations an end comes. A power cut is wanted at every one of a short work, and somewhere in a long one. */
const REACHES: readonly number[] = [10, 40, 40, 150, 600];

export interface Interruptions {
  readonly chance: Chance;
  /** At most so often; then it is let be. */
  readonly cuts: number;
  /** Told of each end, with the disk that it left. */
  readonly onCut?: (kind: "death" | "power cut", disk: SimulatedDisk) => Promise<void> | void;
}

export interface Finished<Result> {
  readonly result: Result;
  readonly disk: SimulatedDisk;
}

type Work<Result> = (process: SimulatedProcess, varve: Varve) => Promise<Result>;

/** The machine afterwards is the one that it was finished on. */
export async function interrupted<Result>(
  world: World,
  disk: SimulatedDisk,
  what: string,
  { chance, cuts, onCut }: Interruptions,
  work: Work<Result>,
): Promise<Finished<Result>> {
  let current = disk;
  for (let left = cuts; ; left--) {
    world.boot(current);
    const ended = await once(world, what, left > 0 ? chance : null, work);
    world.faults.blows = [];
    if (ended.kind === "done") return { result: ended.result, disk: world.machine.disk };
    current = ended.disk;
    await onCut?.(ended.kind, current);
  }
}

type Ended<Result> =
  | { readonly kind: "done"; readonly result: Result }
  | { readonly kind: "death" | "power cut"; readonly disk: SimulatedDisk };

async function once<Result>(
  world: World,
  what: string,
  chance: Chance | null,
  work: Work<Result>,
): Promise<Ended<Result>> {
  const { machine, faults } = world;
  const { process, varve } = world.start(REALM, what);
  const struck = new Promise<Ended<Result>>((resolve) => {
    if (chance === null) return;
    faults.blows.push({
      at: faults.operationCount + 1 + chance.integer(chance.pick(REACHES)),
      when: chance.pick(["before", "after"]),
      strike: () => {
        if (chance.integer(2) === 0) process.kill();
        else resolve({ kind: "power cut", disk: machine.powerCut(chance.pick(CRASH_KINDS), chance) });
      },
    });
  });
  const died = process.killed.then((): Ended<Result> => ({ kind: "death", disk: machine.disk }));
  const done = work(process, varve).then((result): Ended<Result> => ({ kind: "done", result }));
  const ended = await world.until(Promise.race([struck, died, done]), what);
  faults.blows = [];
  if (ended.kind === "power cut") return ended;
  process.exit();
  await world.until(world.timeline.sleep(LANDING_US), `what is in flight of ${what} lands`);
  if (ended.kind === "done") return ended;
  // A copy: what lay in the memory of the dead one is gone.
  return { kind: "death", disk: ended.disk.copy() };
}
