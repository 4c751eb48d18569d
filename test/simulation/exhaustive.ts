/**
 * A small history, and the power failing at every moment of it: before and after each operation, with each kind of what a power cut can leave.
 * Each disk that comes of it is opened and judged. Some are also cut while they recover, at every moment of that too.
 */

import type { Store } from "../../src/index.js";
import { chance } from "./chance.js";
import { dataOf, EVENT_TYPE, History, NOTHING_MISSING, Violation } from "./history.js";
import { inspectStore, manifestIn, STORE_DIRECTORY } from "./inspection.js";
import { Keyring } from "./keyring.js";
import { readLog } from "./read-log.js";
import { SimulatedDisk } from "./simulated-disk.js";
import { CRASH_KINDS } from "./simulated-file.js";
import { World } from "./world.js";

const INSPECTED = { segmentBytes: 64 * 1024, graph: false, sums: false, keyring: new Keyring(0, false) };

/** What one writer does, or several, one after the other. */
export type SmallHistory = (steps: SmallSteps) => Promise<void>;

export interface SmallSteps {
  open(realm: number): Promise<Store>;
  append(store: Store, name: string, streams: readonly string[]): Promise<void>;
}

export interface ExhaustiveReport {
  readonly moments: number;
  /** Different disks that power cuts left. */
  readonly crashStates: number;
  /** Of these, by a second power cut, in the recovery from the first. */
  readonly inRecovery: number;
}

interface CrashState {
  readonly disk: SimulatedDisk;
  readonly history: History;
  readonly what: string;
}

/** @throws Violation, saying at which moment. Every `recoveryEvery`th state is cut again while it recovers; 0: none. */
export async function runExhaustively(
  seed: number,
  small: SmallHistory,
  recoveryEvery: number,
): Promise<ExhaustiveReport> {
  const known = new Set<string>();
  const first = await statesOf(seed, new SimulatedDisk(), new History(), small, known, "cut");
  let crashStates = first.states.length;
  let inRecovery = 0;
  for (const [index, state] of first.states.entries()) {
    await judge(seed, state);
    if (recoveryEvery === 0 || index % recoveryEvery !== 0) continue;
    const again = await statesOf(
      seed + index,
      state.disk.copy(),
      state.history,
      reopen,
      known,
      `${state.what}, cut again`,
    );
    for (const second of again.states) await judge(seed, second);
    inRecovery += again.states.length;
    crashStates += again.states.length;
  }
  return { moments: first.moments, crashStates, inRecovery };
}

async function reopen({ open }: SmallSteps): Promise<void> {
  await (await open(0)).close();
}

/** Runs the history to its end, and takes what a power cut would leave at each moment on the way. */
async function statesOf(
  seed: number,
  disk: SimulatedDisk,
  history: History,
  small: SmallHistory,
  known: Set<string>,
  what: string,
): Promise<{ readonly moments: number; readonly states: readonly CrashState[] }> {
  const world = new World(seed, disk);
  const random = chance(seed, "exhaustive");
  const states: CrashState[] = [];
  let moments = 0;
  world.machine.onManifest = (bytes) => history.sawVoids(manifestIn(bytes).voids);
  world.faults.onMoment = () => {
    moments++;
    for (const kind of CRASH_KINDS) {
      const left = world.machine.disk.afterPowerCut(kind, random);
      // The same disk was judged before, with fewer acknowledgements: it must hold those that came since, too.
      const key = `${history.acknowledgedCount} ${left.digest()}`;
      if (known.has(key)) continue;
      known.add(key);
      states.push({ disk: left, history: history.copy(), what: `${what} at moment ${moments}, leaving ${kind}` });
    }
  };
  await world.until(small(stepsIn(world, history)), what);
  return { moments, states };
}

function stepsIn(world: World, history: History): SmallSteps {
  const begun = new Set<number>();
  return {
    open: async (realm) => {
      if (begun.has(realm)) throw new Error(`realm ${realm} has a process`);
      begun.add(realm);
      const { varve } = world.start(realm, `writer ${realm}`);
      return varve.openStore(STORE_DIRECTORY, { segmentBytes: INSPECTED.segmentBytes });
    },
    append: async (store, name, streams) => {
      const parts = streams.map((stream) => ({ stream, count: 2 }));
      const count = 2 * streams.length;
      history.attempt(name, parts);
      let index = 0;
      const event = (): { readonly type: string; readonly data: object } => ({
        type: EVENT_TYPE,
        data: dataOf(name, index++, count),
      });
      history.acknowledge(
        name,
        await store.appendMany(streams.map((stream) => ({ stream, events: [event(), event()] }))),
      );
    },
  };
}

async function judge(seed: number, { disk, history, what }: CrashState): Promise<void> {
  const world = new World(seed, disk);
  try {
    const onManifest = (bytes: Uint8Array): void => history.sawVoids(manifestIn(bytes).voids);
    const found = await inspectStore(world, disk.copy(), INSPECTED, onManifest);
    if ("code" in found) throw new Violation(`P6: refused without damage: ${found.message}`, { cause: found });
    history.check(found.events, found.watermark, NOTHING_MISSING);
  } catch (error) {
    throw new Violation(`${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** One writer that appends, seals, rotates and closes; a second one beside it, which goes on when the first has closed. */
export const SMALL_HISTORY: SmallHistory = async ({ open, append }) => {
  const first = await open(0);
  await append(first, "a", ["one"]);
  await append(first, "b", ["one", "two"]);
  const second = await open(1);
  await Promise.all([append(first, "c", ["one"]), append(second, "d", ["two"])]);
  await first.checkpoint();
  await append(second, "e", ["one", "two"]);
  await first.close();
  await append(second, "f", ["two"]);
  await second.checkpoint();
  await readLog(second.readAll());
  await second.close();
};
