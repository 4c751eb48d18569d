/**
 * The protocol of many writers (writers.md, rules 1, 2 and 5; src/wal/control-file.ts and takeover.ts), checked over every interleaving.
 *
 * A model, not the code: two writers with two batches each, both in flight at once where the protocol lets them; a kernel that makes writes
 * durable and stores done words in any order; a scanner that computes W word by word; the death of one writer at any step, and its
 * takeover. Wrong variants must be found out, or the model proves nothing.
 */

import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("wal/writers-model");

const RECORDS = [
  [1, 2],
  [2, 1],
] as const;
const WRITERS = [0, 1] as const;
const LANES = [0, 1] as const;
const MORTAL = 1;

interface Lane {
  /** Whether sequence and done word differ. */
  pending: boolean;
  /** The bound at first, then the batch's first LSN. */
  first: number;
  isExact: boolean;
  /** Physically: not there, with the kernel, on the device, lost. */
  frame: "none" | "flight" | "durable" | "lost";
  /** First LSN that was really taken; 0: none. */
  taken: number;
  isVoid: boolean;
  isAcked: boolean;
}

interface State {
  counter: number;
  /** −1: free. */
  lock: number;
  watermark: number;
  steps: number[];
  bounds: number[];
  /** The batch that the writer works on. */
  batches: number[];
  lanes: Lane[][];
  isDead: boolean;
  takeoverStep: number;
  scanStep: number;
  scanned: number;
}

/** What a variant does otherwise than the protocol. */
type Wrong =
  | "range taken before its bound is published"
  | "counter read last"
  | "acknowledged by the core's own durability"
  | "takeover keeps frames behind a gap"
  | "takeover does not wait for writes in flight"
  | "lock broken before what was not taken is cleared";

function start(): State {
  const lane = (): Lane => ({
    pending: false,
    first: 0,
    isExact: false,
    frame: "none",
    taken: 0,
    isVoid: false,
    isAcked: false,
  });
  return {
    counter: 0,
    lock: -1,
    watermark: 0,
    steps: [0, 0],
    bounds: [0, 0],
    batches: [0, 0],
    lanes: [
      [lane(), lane()],
      [lane(), lane()],
    ],
    isDead: false,
    takeoverStep: 0,
    scanStep: 0,
    scanned: 0,
  };
}

const LANE_PAIRS = WRITERS.flatMap((writer) => LANES.map((lane) => [writer, lane] as const));
const SCAN_END = LANE_PAIRS.length + 1;

/** Every state that one step leads to. */
function* successors(state: State, wrong: Wrong | null): Generator<State> {
  const next = (change: (copy: State) => void): State => {
    const copy = structuredCloneOf(state);
    change(copy);
    return copy;
  };
  for (const writer of WRITERS) {
    if (writer === MORTAL && state.isDead) continue;
    yield* writerSteps(state, writer, wrong, next);
  }
  for (const [writer, index] of LANE_PAIRS) {
    const lane = (state.lanes[writer] as Lane[])[index] as Lane;
    const isOwnerDead = writer === MORTAL && state.isDead;
    if (lane.frame === "flight") {
      yield next((copy) => (laneOf(copy, writer, index).frame = "durable"));
      if (isOwnerDead) yield next((copy) => (laneOf(copy, writer, index).frame = "lost"));
    }
    // Linked behind the write, in the kernel: it can still come after the owner's death, or never.
    if (lane.frame === "durable" && lane.pending && !(isOwnerDead && state.takeoverStep === 3)) {
      yield next((copy) => (laneOf(copy, writer, index).pending = false));
    }
  }
  yield* scannerSteps(state, wrong, next);
  if (!state.isDead) yield next((copy) => (copy.isDead = true));
  else yield* takeoverSteps(state, wrong, next);
}

function* writerSteps(
  state: State,
  writer: number,
  wrong: Wrong | null,
  next: (change: (copy: State) => void) => State,
): Generator<State> {
  const batch = state.batches[writer] as number;
  const records = RECORDS[writer]?.[batch];
  const publish = (copy: State): void => {
    const lane = laneOf(copy, writer, batch);
    lane.pending = true;
    if (!lane.isExact) lane.first = copy.bounds[writer] as number;
    copy.bounds[writer] = 0; // of no use any more: fewer states
  };
  const takes = wrong === "range taken before its bound is published";
  const step = state.steps[writer] as number;
  const go = (change: (copy: State) => void): State =>
    next((copy) => {
      copy.steps[writer] = step + 1;
      change(copy);
    });
  if (records !== undefined) {
    if (step === 0) yield go((copy) => (copy.bounds[writer] = copy.counter + 1));
    if (step === 1) yield go((copy) => (takes ? undefined : publish(copy)));
    if (step === 2 && state.lock < 0) yield go((copy) => (copy.lock = writer));
    if (step === 3) {
      yield go((copy) => {
        laneOf(copy, writer, batch).first = copy.counter + 1;
        laneOf(copy, writer, batch).isExact = true;
      });
    }
    if (step === 4) {
      yield go((copy) => {
        laneOf(copy, writer, batch).taken = copy.counter + 1;
        copy.counter += records;
      });
    }
    if (step === 5) yield go((copy) => (copy.lock = -1));
    if (step === 6) {
      yield next((copy) => {
        if (takes) publish(copy);
        laneOf(copy, writer, batch).frame = "flight";
        copy.steps[writer] = 0;
        copy.batches[writer] = batch + 1;
      });
    }
  }
  // Acknowledging: in order, what the kernel told of, and W has passed.
  const index = LANES.find((lane) => !laneOf(state, writer, lane).isAcked);
  if (index === undefined) return;
  const lane = laneOf(state, writer, index);
  const last = lane.taken + (RECORDS[writer]?.[index] ?? 0) - 1;
  const isEnough = wrong === "acknowledged by the core's own durability" || last <= state.watermark;
  if (lane.taken > 0 && !lane.pending && lane.frame === "durable" && isEnough) {
    yield next((copy) => (laneOf(copy, writer, index).isAcked = true));
  }
}

function* scannerSteps(
  state: State,
  wrong: Wrong | null,
  next: (change: (copy: State) => void) => State,
): Generator<State> {
  const late = wrong === "counter read last";
  const { scanStep } = state;
  if (scanStep === 0) {
    yield next((copy) => {
      copy.scanned = late ? Number.MAX_SAFE_INTEGER : copy.counter;
      copy.scanStep = 1;
    });
  } else if (scanStep < SCAN_END) {
    const [writer, index] = LANE_PAIRS[scanStep - 1] as readonly [number, number];
    yield next((copy) => {
      const lane = laneOf(copy, writer, index);
      if (lane.pending && lane.first <= copy.scanned) copy.scanned = lane.first - 1;
      copy.scanStep++;
    });
  } else {
    yield next((copy) => {
      copy.watermark = Math.max(copy.watermark, late ? Math.min(copy.counter, copy.scanned) : copy.scanned);
      copy.scanned = 0;
      copy.scanStep = 0;
    });
  }
}

function* takeoverSteps(
  state: State,
  wrong: Wrong | null,
  next: (change: (copy: State) => void) => State,
): Generator<State> {
  const clear = (copy: State): void => {
    for (const index of LANES) {
      const lane = laneOf(copy, MORTAL, index);
      const last = lane.first + (RECORDS[MORTAL]?.[index] ?? 0) - 1;
      if (lane.pending && !(lane.isExact && last <= copy.counter)) lane.pending = false;
    }
  };
  const breakLock = (copy: State): void => {
    if (copy.lock === MORTAL) copy.lock = -1;
  };
  const isTurned = wrong === "lock broken before what was not taken is cleared";
  const step = state.takeoverStep;
  const go = (change: (copy: State) => void): State =>
    next((copy) => {
      copy.takeoverStep = step + 1;
      change(copy);
    });
  if (step === 0) yield go(isTurned ? breakLock : clear);
  if (step === 1) yield go(isTurned ? clear : breakLock);
  if (step !== 2) return;
  const inFlight = LANES.some((index) => laneOf(state, MORTAL, index).frame === "flight");
  if (inFlight && wrong !== "takeover does not wait for writes in flight") return;
  yield go((copy) => {
    let isKept = true;
    for (const index of LANES) {
      const lane = laneOf(copy, MORTAL, index);
      // What the survivor sees: a lane that took LSNs, as far as its words tell.
      const isThere = lane.first > 0 && lane.isExact && (lane.pending || lane.frame !== "none");
      if (!isThere) continue;
      if (lane.frame !== "durable") isKept = false;
      if (wrong === "takeover keeps frames behind a gap") isKept = lane.frame === "durable";
      lane.isVoid = !isKept;
      lane.pending = false;
    }
  });
}

function laneOf(state: State, writer: number, index: number): Lane {
  return (state.lanes[writer] as Lane[])[index] as Lane;
}

function structuredCloneOf(state: State): State {
  return {
    ...state,
    steps: [...state.steps],
    bounds: [...state.bounds],
    batches: [...state.batches],
    lanes: state.lanes.map((lanes) => lanes.map((lane) => ({ ...lane }))),
  };
}

/** What is wrong with a state; null when nothing is. */
function violation(state: State): string | null {
  const owners = new Map<number, string>();
  for (const [writer, index] of LANE_PAIRS) {
    const lane = laneOf(state, writer, index);
    const records = RECORDS[writer]?.[index] ?? 0;
    if (lane.isVoid) {
      for (let lsn = lane.first; lsn < lane.first + records; lsn++) {
        if (lane.taken !== lane.first) return `LSN ${lsn} is declared void, and was never the dead writer's`;
      }
      if (lane.isAcked) return "an acknowledged batch is void";
      if (lane.first <= 0) return "a void without an LSN";
    }
    if (lane.taken === 0) continue;
    for (let lsn = lane.taken; lsn < lane.taken + records; lsn++) {
      if (owners.has(lsn)) return `LSN ${lsn} was taken twice`;
      owners.set(lsn, `${writer}/${index}`);
      if (lsn <= state.watermark && lane.frame !== "durable" && !lane.isVoid)
        return `W passed LSN ${lsn}, which is not durable`;
    }
    if (lane.isAcked && lane.frame !== "durable") return "acknowledged, and not durable";
    if (lane.isAcked) {
      // Everything below an acknowledged LSN must stay: a recovery keeps the longest prefix.
      for (const [other, place] of LANE_PAIRS) {
        const below = laneOf(state, other, place);
        const isBelow = below.taken > 0 && below.taken < lane.taken;
        if (isBelow && below.frame !== "durable" && !below.isVoid) return "acknowledged above a hole";
      }
    }
  }
  const [older, newer] = state.lanes[MORTAL] as [Lane, Lane];
  if (state.takeoverStep === 3 && older.isVoid && newer.taken > 0 && !newer.isVoid)
    return "kept behind a lost frame of its core";
  if (state.takeoverStep === 3) {
    const [isOlderThere, isNewerThere] = [older, newer].map((lane) => lane.isVoid && lane.frame === "durable");
    if (isOlderThere || (isNewerThere && !older.isVoid)) return "declared void, and there for the next recovery";
  }
  return null;
}

const FRAMES = ["none", "flight", "durable", "lost"];

/** Short, because a million of them are kept. */
function keyOf(state: State): string {
  let key = String.fromCharCode(
    state.counter,
    state.lock + 1,
    state.watermark,
    state.takeoverStep * 2 + Number(state.isDead),
    state.scanStep,
    Math.min(state.scanned, 100),
  );
  for (const writer of WRITERS) {
    key += String.fromCharCode(
      (state.steps[writer] as number) * 4 + (state.batches[writer] as number),
      state.bounds[writer] as number,
    );
    for (const lane of state.lanes[writer] as Lane[]) {
      const bits = Number(lane.pending) + 2 * Number(lane.isExact) + 4 * Number(lane.isVoid) + 8 * Number(lane.isAcked);
      key += String.fromCharCode(bits + 16 * FRAMES.indexOf(lane.frame), lane.first * 16 + lane.taken);
    }
  }
  return key;
}

/** A state from which nothing can be done any more must have acknowledged everything of the living. */
function isStuck(state: State): boolean {
  return LANES.some((index) => !laneOf(state, 0, index).isAcked);
}

/** The scanner goes round once, alone. */
function scannedOnce(from: State, wrong: Wrong | null): State {
  let state = from;
  do {
    const step = (change: (copy: State) => void): State => {
      const copy = structuredCloneOf(state);
      change(copy);
      return copy;
    };
    for (const successor of scannerSteps(state, wrong, step)) state = successor;
  } while (state.scanStep !== 0);
  return state;
}

function explore(
  wrong: Wrong | null,
  statesMax: number,
): { readonly stateCount: number; readonly found: string | null } {
  const seen = new Set<string>();
  const stack = [start()];
  seen.add(keyOf(start()));
  while (stack.length > 0) {
    const state = stack.pop() as State;
    const problem = violation(state);
    if (problem !== null) return { stateCount: seen.size, found: problem };
    let canOnlyScan = true;
    for (const successor of successors(state, wrong)) {
      if (successor.scanStep === state.scanStep) canOnlyScan = false;
      const key = keyOf(successor);
      if (seen.has(key)) continue;
      seen.add(key);
      stack.push(successor);
    }
    if (
      canOnlyScan &&
      state.scanStep === 0 &&
      isStuck(state) &&
      scannedOnce(state, wrong).watermark === state.watermark
    ) {
      return { stateCount: seen.size, found: "the living writer waits for ever" };
    }
    if (seen.size > statesMax) throw new Error(`more than ${statesMax} states`);
  }
  return { stateCount: seen.size, found: null };
}

test(
  "no interleaving of two writers, the kernel, a death and its takeover breaks the acknowledgement rule",
  () => {
    const { stateCount, found } = explore(null, 5_000_000);
    assert.is(found, null);
    assert.ok(stateCount > 10_000, `${stateCount} states`);
    console.log(`wal/writers-model: ${stateCount} states`);
  },
  { timeoutMs: 120_000 },
);

const WRONG: readonly Wrong[] = [
  "range taken before its bound is published",
  "counter read last",
  "acknowledged by the core's own durability",
  "takeover keeps frames behind a gap",
  "takeover does not wait for writes in flight",
  "lock broken before what was not taken is cleared",
];
for (const wrong of WRONG) {
  test(
    `the model finds the fault when: ${wrong}`,
    () => {
      assert.ok(explore(wrong, 5_000_000).found !== null);
    },
    { timeoutMs: 120_000 },
  );
}
