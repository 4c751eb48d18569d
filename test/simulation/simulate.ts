/**
 * The simulation by itself: `npm run simulate -- --seeds 2000 [--first 1] [--processes 2] [--exhaustive]`. The processes share the seeds. `SEED=17 npm run simulate`
 * replays one and, when it fails, prints the last things that happened. Of seeds below a million every eighth is followed by one with subjects: itself
 * and a million, every sixteenth by one whose log is damaged as well: itself and two million. `--first 1000001` and `--first 2000001` run those alone.
 */

import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runExhaustively, SMALL_HISTORY } from "./exhaustive.js";
import { runSeed, SeedFailure } from "./scenario.js";
import { DAMAGED_SUBJECT_SEEDS, planOf, SUBJECT_SEEDS } from "./seed-plan.js";
import { addReport, emptyTotal, type Total } from "./total.js";
import { loadStores } from "./world.js";

const PART = "SIMULATE_PART";
/** Every so many of the crash states is cut again, at each moment of its recovery. */
const RECOVERY_EVERY = 60;
const SUBJECTS_EVERY = 8;
const DAMAGED_SUBJECTS_EVERY = 16;

interface Part {
  readonly total: Total;
  readonly failures: readonly string[];
}

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "200" },
    first: { type: "string", default: "1" },
    processes: { type: "string", default: "2" },
    exhaustive: { type: "boolean", default: false },
  },
});

function count(text: string, name: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) throw new TypeError(`--${name} takes a count, not "${text}"`);
  return number;
}

/** Every so manyth seed. */
async function runPart(part: number, processes: number, first: number, seeds: number): Promise<Part> {
  await loadStores();
  let total = emptyTotal();
  const failures: string[] = [];
  const run = async (seed: number): Promise<void> => {
    try {
      total = addReport(total, await runSeed(seed));
    } catch (error) {
      if (!(error instanceof SeedFailure)) throw error;
      console.log(`${error.message}; replay it with SEED=${seed} npm run simulate`);
      failures.push(error.message);
    }
  };
  for (let seed = first + part; seed < first + seeds; seed += processes) {
    await run(seed);
    const index = Math.floor((seed - first) / processes);
    if (seed >= SUBJECT_SEEDS) continue;
    if (index % SUBJECTS_EVERY === 0) await run(SUBJECT_SEEDS + seed);
    if (index % DAMAGED_SUBJECTS_EVERY === 0) await run(DAMAGED_SUBJECT_SEEDS + seed);
  }
  return { total, failures };
}

function forkPart(part: number): Promise<Part> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), process.argv.slice(2), {
      env: { ...process.env, [PART]: String(part) },
      execArgv: ["--enable-source-maps"],
    });
    let answer: Part | null = null;
    child.on("message", (message) => {
      answer = message as Part;
    });
    child.on("exit", (code, signal) => {
      if (answer !== null) resolve(answer);
      else reject(new Error(`a process of the simulation ended with ${code ?? signal}`));
    });
  });
}

async function runAll(processes: number, seeds: number): Promise<void> {
  const startedMs = performance.now();
  const parts = await Promise.all(Array.from({ length: processes }, (_, part) => forkPart(part)));
  const total = parts.reduce((sum, part) => addReport(sum, part.total), emptyTotal());
  const failures = parts.flatMap((part) => part.failures);
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  console.log(JSON.stringify({ seeds, failures: failures.length, seconds, ...total }));
  if (failures.length > 0) process.exitCode = 1;
}

async function replay(seed: number): Promise<void> {
  await loadStores();
  console.log(JSON.stringify(planOf(seed)));
  try {
    console.log(JSON.stringify(await runSeed(seed, true)));
  } catch (error) {
    if (!(error instanceof SeedFailure)) throw error;
    console.log(error.lines.join("\n"));
    console.log(error.cause);
    process.exitCode = 1;
  }
}

async function exhaust(seed: number): Promise<void> {
  await loadStores();
  console.log(JSON.stringify(await runExhaustively(seed, SMALL_HISTORY, RECOVERY_EVERY)));
}

const part = process.env[PART];
const seed = process.env["SEED"];
const [first, seeds] = [count(values.first, "first"), count(values.seeds, "seeds")];
const processes = Math.max(1, count(values.processes, "processes"));
if (part !== undefined) {
  process.send?.(await runPart(Number(part), processes, first, seeds));
  process.disconnect?.();
} else if (seed !== undefined) {
  await replay(Number(seed));
} else {
  await runAll(processes, seeds);
  if (values.exhaustive) await exhaust(first);
}
