/** Runs damage through the oracle, several copies of a store side by side, and counts the outcomes. */

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../support/seeded-random.js";
import { forgeriesOf } from "./forgery.js";
import { type ForgeryOutcome, judgeForgery } from "./forgery-oracle.js";
import { FuzzFailure, judgeReading, judgeWriting, type Outcome } from "./fuzz-oracle.js";
import { copyOf, type FuzzStore, makeFuzzStores } from "./fuzz-store.js";
import { apply, type Mutation, type MutationKind, mutationsOf, undo } from "./mutation.js";
import { judgeRepair, type RepairOutcome } from "./repair-oracle.js";
import { judgeSalvage } from "./salvage-oracle.js";

export interface FuzzPlan {
  /** A directory for the stores. */
  readonly base: string;
  /** Of the damage of each kind every n-th is done. */
  readonly every: number;
  /** Of what is done, every n-th is also salvaged, repaired, and opened for writing. */
  readonly writeEvery: number;
  /** Only these stores; default all. */
  readonly only?: readonly FuzzStore["name"][];
  readonly onProgress?: (done: number) => void;
}

export interface FuzzReport {
  /** By kind of damage and outcome; those of writers begin with "written: ". */
  readonly counts: Record<string, Record<string, number>>;
  readonly failures: readonly string[];
  readonly done: number;
  /** The largest piece of memory that was asked for at once. */
  readonly largestAllocation: number;
}

const LANES = 6;
const BITS_FOR_EACH_OTHER = 16;
const FORGERIES_PER_PLACE = 800;
const FAILURES_MAX = 20;
const DEADLINE_MS = 20_000;

class Tally {
  readonly counts: Record<string, Record<string, number>> = {};

  add(kind: string, outcome: Outcome | RepairOutcome | ForgeryOutcome | "all events" | "some events"): void {
    const row = this.counts[kind] ?? {};
    this.counts[kind] = row;
    row[outcome] = (row[outcome] ?? 0) + 1;
  }
}

/** Watches what is asked of the memory, until it is told to stop. */
function watchAllocations(): { readonly stop: () => number } {
  let largest = 0;
  const { alloc, allocUnsafe, allocUnsafeSlow } = Buffer;
  const watched = <Result>(original: (size: number, ...rest: never[]) => Result) =>
    function watch(this: unknown, size: number, ...rest: never[]): Result {
      if (size > largest) largest = size;
      return original.call(Buffer, size, ...rest);
    };
  Object.assign(Buffer, {
    alloc: watched(alloc),
    allocUnsafe: watched(allocUnsafe),
    allocUnsafeSlow: watched(allocUnsafeSlow),
  });
  return {
    stop: () => {
      Object.assign(Buffer, { alloc, allocUnsafe, allocUnsafeSlow });
      return largest;
    },
  };
}

async function withDeadline<Result>(work: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new FuzzFailure(`did not end within ${DEADLINE_MS} ms`)), DEADLINE_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Every n-th bit, and of the other kinds, which are fewer, more. */
function* chosen(mutations: Iterable<Mutation>, every: number): Generator<Mutation> {
  const seen = new Map<MutationKind, number>();
  const everyOther = Math.ceil(every / BITS_FOR_EACH_OTHER);
  for (const mutation of mutations) {
    const number = seen.get(mutation.kind) ?? 0;
    seen.set(mutation.kind, number + 1);
    if (number % (mutation.kind === "bit" ? every : everyOther) === 0) yield mutation;
  }
}

/** Lies that hold their checksums, some for each header and page. */
async function forgeStore(store: FuzzStore, plan: FuzzPlan, tally: Tally, failures: string[]): Promise<number> {
  const perPlace = FORGERIES_PER_PLACE / plan.every;
  const mutations = forgeriesOf(store, seededRandom(plan.every), perPlace);
  let done = 0;
  const lane = async (number: number): Promise<void> => {
    const directory = copyOf(store.directory, join(plan.base, `forged-${number}`));
    const scratch = mkdtempSync(join(plan.base, `forged-scratch-${number}-`));
    for (const mutation of mutations) {
      if (failures.length >= FAILURES_MAX) break;
      done++;
      apply(mutation, directory);
      try {
        tally.add(mutation.kind, await withDeadline(judgeForgery(store, directory, join(scratch, "store"))));
      } catch (error) {
        failures.push(`${store.name}: ${mutation.kind}: ${mutation.label}: ${(error as Error).message}`);
      }
      undo(mutation, directory, store);
      for (const name of readdirSync(scratch)) rmSync(join(scratch, name), { recursive: true, force: true });
    }
    for (const path of [directory, scratch]) rmSync(path, { recursive: true, force: true });
  };
  await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)));
  return done;
}

async function fuzzStore(store: FuzzStore, plan: FuzzPlan, tally: Tally, failures: string[]): Promise<number> {
  const mutations = chosen(mutationsOf(store, seededRandom(1)), plan.every);
  let done = 0;
  const lane = async (number: number): Promise<void> => {
    const directory = copyOf(store.directory, join(plan.base, `lane-${number}`));
    const scratch = join(plan.base, `scratch-${number}`);
    for (const mutation of mutations) {
      if (failures.length >= FAILURES_MAX) return;
      const isWritten = done++ % plan.writeEvery === 0;
      plan.onProgress?.(done);
      apply(mutation, directory);
      try {
        const outcome = await withDeadline(judgeReading(mutation, store, directory));
        tally.add(mutation.kind, outcome);
        if (isWritten) {
          const { lost } = await withDeadline(judgeSalvage(mutation, store, directory));
          tally.add(`repair: ${mutation.kind}`, await withDeadline(judgeRepair(store, directory, scratch)));
          tally.add(`salvaged: ${mutation.kind}`, lost === 0 ? "all events" : "some events");
          const outcome = await withDeadline(judgeWriting(mutation, store, directory, scratch));
          tally.add(`written: ${mutation.kind}`, outcome);
        }
      } catch (error) {
        const what = error instanceof FuzzFailure ? error.message : ((error as Error).stack ?? String(error));
        failures.push(`${store.name}: ${mutation.kind}: ${mutation.label}: ${what}`);
      }
      undo(mutation, directory, store);
    }
    for (const path of [directory, scratch]) rmSync(path, { recursive: true, force: true });
  };
  await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)));
  return done;
}

export async function runFuzz(plan: FuzzPlan): Promise<FuzzReport> {
  // Of checkpoints that are not used, which is as it should be.
  process.removeAllListeners("warning");
  const stores = await makeFuzzStores(plan.base, plan.only);
  const tally = new Tally();
  const failures: string[] = [];
  const watch = watchAllocations();
  let done = 0;
  for (const store of stores) {
    done += await forgeStore(store, plan, tally, failures);
    done += await fuzzStore(store, plan, tally, failures);
  }
  return { counts: tally.counts, failures, done, largestAllocation: watch.stop() };
}
