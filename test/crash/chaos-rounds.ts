/**
 * One run of chaos over one store, and its judgement:
 *
 * - Every acknowledged append is there with its content, at the LSN and the versions that were answered.
 * - No append is half there, none twice; what was refused is not there.
 * - LSNs are dense but for the voids that the manifest lists; stream versions are 1, 2, 3…; ids are unique within their stream.
 * - All writers that are left get on to the end, and none was stuck on the way.
 * - `varve verify` agrees, and a reader and the next writer see the same bytes.
 */

import { spawn } from "node:child_process";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openReader, openStore, type RecordedEvent } from "../../src/index.js";
import { seededRandom } from "../support/seeded-random.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { ChaosOracle, type Judgement, readVoids } from "./chaos-oracle.js";
import { ChaosRun, type ChaosSetting, type ChaosTally } from "./chaos-run.js";

const CLI = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const VERIFY_MS = 300_000;

export interface ChaosOptions extends Omit<ChaosSetting, "directory"> {
  readonly seed?: number;
  readonly onAct?: (tally: ChaosTally) => void;
}

export interface ChaosReport extends ChaosTally {
  readonly ok: true;
  readonly seed: number;
  readonly elapsedMs: number;
  readonly processes: number;
  readonly threads: number;
  readonly acknowledged: number;
  readonly unacknowledgedKept: number;
  readonly events: number;
  readonly voids: number;
  readonly voidLsns: number;
}

/** Throws with the seed, the reason and where the store was left at the first thing that is not as promised. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const random = seededRandom(options.seed);
  const place = temporaryDirectory();
  const directory = join(place, "store");
  const oracle = new ChaosOracle();
  const { processes, threads } = options;
  const run = new ChaosRun({ ...options, directory }, random, oracle);
  const startedMs = performance.now();
  try {
    await run.disturb(() => options.onAct?.(run.tally));
    await run.settle();
    await run.stop();
    const { events, unacknowledged } = await judgeStore(directory, oracle);
    const voids = readVoids(directory);
    return {
      ok: true,
      seed: random.seed,
      elapsedMs: Math.round(performance.now() - startedMs),
      processes,
      threads,
      ...run.tally,
      acknowledged: oracle.acknowledged,
      unacknowledgedKept: unacknowledged,
      events,
      voids: voids.ranges,
      voidLsns: voids.lsns,
    };
  } catch (error) {
    const failures = new Set([error as Error, ...(await run.failures())]);
    await run.kill();
    const reasons = [...failures].map(({ message }) => message);
    const kept = keep(place, random.seed, {
      "receipts.txt": [...oracle.receipts],
      "stderr.txt": [run.stderr],
      "failures.txt": reasons,
    });
    const others = failures.size > 1 ? ` (and ${failures.size - 1} more failures, in failures.txt)` : "";
    const message = `with SEED=${random.seed}: ${reasons[0]}${others}\nleft in ${kept}`;
    throw new Error(message, { cause: error });
  } finally {
    await run.kill();
  }
}

/** Moves the store to where nobody removes it, with what the writers were told and what they said. */
function keep(place: string, seed: number, files: Readonly<Record<string, readonly string[]>>): string {
  for (const [name, lines] of Object.entries(files)) writeFileSync(join(place, name), `${lines.join("\n")}\n`);
  // The test runner removes its own directory in the end, and all that is in it.
  const base = process.env["VARVE_TEST_DIR"] === undefined ? dirname(place) : dirname(dirname(place));
  const kept = join(base, `varve-chaos-${seed}-${process.pid}`);
  mkdirSync(kept, { recursive: true });
  for (const name of ["store", ...Object.keys(files)]) {
    try {
      renameSync(join(place, name), join(kept, name));
    } catch (error) {
      console.error(`${name} could not be kept: ${(error as Error).message}`);
    }
  }
  return kept;
}

interface Readable {
  readonly watermark: number;
  readAll(): AsyncIterable<RecordedEvent>;
  close(): Promise<void>;
}

async function judgeStore(directory: string, oracle: ChaosOracle): Promise<Judgement> {
  const judgements: Judgement[] = [];
  const judge = async (how: string, opened: Promise<Readable>): Promise<void> => {
    try {
      const store = await opened;
      try {
        judgements.push(await oracle.judge(store.readAll(), store.watermark, readVoids(directory)));
      } finally {
        await store.close();
      }
    } catch (error) {
      throw new Error(`${how}: ${(error as Error).message}`, { cause: error });
    }
  };
  await judge("read by a reader", openReader(directory));
  const [first] = judgements as [Judgement];
  await verify(directory, first.events);
  await judge("read by the next writer", openStore(directory, { onWaiting: () => {} }));
  await judge("read by a reader after the next writer", openReader(directory));
  await verify(directory, first.events);
  for (const { digest } of judgements) {
    if (digest !== first.digest) throw new Error("a reader and the next writer do not see the same bytes");
  }
  return first;
}

/** The command line agrees. */
async function verify(directory: string, events: number): Promise<void> {
  const child = spawn(process.execPath, [CLI, "verify", "--store", directory, "--json"], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: VERIFY_MS,
    killSignal: "SIGKILL",
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  if (code !== 0) throw new Error(`varve verify ended with ${code}: ${stdout}${stderr}`);
  const result = JSON.parse(stdout) as { readonly ok: boolean; readonly events: number };
  if (!result.ok || result.events !== events)
    throw new Error(`varve verify found ${stdout}, ${events} events are there`);
}
