/**
 * Kills a writing process at random moments and checks what it left, round after round on the same store:
 *
 * - every acknowledged append is there, with its very bytes, also rounds later;
 * - no append is there in part, acknowledged or not, and none twice;
 * - LSNs are 1, 2, 3, … and the versions of every stream too.
 *
 * In some rounds the process is killed while it recovers what the round before left.
 */

import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openStore, type RecoveryReport } from "../../src/index.js";
import { assert } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { fillOf, type KillData } from "./kill-event.js";

const CHILD = fileURLToPath(new URL("./kill-child.js", import.meta.url));
const APPEND_KEY = /^\d+\.\d+$/;
/** A fresh store now and then keeps the rounds short. */
const ROUNDS_PER_STORE = 20;
const RUN_MS_MAX = 60;
const RECOVERY_KILL_SHARE = 0.2;
/** How long after its start a process that is to die while it recovers is killed at the latest. */
const RECOVERY_KILL_MS_MAX = 250;

export interface KillSummary {
  readonly rounds: number;
  readonly acknowledged: number;
  readonly recovered: number;
  readonly rows: Readonly<Record<string, number>>;
  readonly seconds: number;
}

/** Runs a child until it is killed; resolves with the appends it reported as acknowledged. */
async function runAndKill(
  directory: string,
  seed: number,
  round: number,
  killMs: number,
  from: "start" | "ready",
): Promise<string[]> {
  const child = spawn(process.execPath, [CHILD, directory, String(seed), String(round)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  let armed = false;
  const arm = (): void => {
    if (armed) return;
    armed = true;
    setTimeout(() => child.kill("SIGKILL"), killMs);
  };
  if (from === "start") arm();
  child.stdout.setEncoding("latin1").on("data", (text: string) => {
    output += text;
    if (output.includes("ready\n")) arm();
  });
  const signal = await new Promise<NodeJS.Signals | null>((resolve) => child.on("close", (_code, by) => resolve(by)));
  assert.is(signal, "SIGKILL", "the child lived until it was killed");
  // A line that was cut off was not reported.
  return output
    .split("\n")
    .slice(0, -1)
    .filter((line) => APPEND_KEY.test(line));
}

/** Reads the whole store, checks it, and gives the appends that are in it. */
async function readAppends(directory: string): Promise<{ appends: Set<string>; report: RecoveryReport }> {
  const store = await openStore<{ Killed: KillData }>(directory);
  try {
    const found = new Map<string, { indexes: Set<number>; of: number }>();
    const versions = new Map<string, number>();
    let lsn = 0;
    for await (const event of store.readAll()) {
      assert.is(event.lsn, ++lsn, "LSNs are dense");
      const version = (versions.get(event.stream) ?? 0) + 1;
      assert.is(event.version, version, `versions of ${event.stream} are dense`);
      versions.set(event.stream, version);
      const { key, index, of, fill } = event.data;
      assert.is(event.id, `${key}/${index}`);
      assert.ok(fill === fillOf(key, index, fill.length), `the bytes of ${key}/${index} are its own`);
      const append = found.get(key) ?? { indexes: new Set(), of };
      assert.not(append.indexes.has(index), `${key}/${index} is there once`);
      append.indexes.add(index);
      found.set(key, append);
    }
    assert.is(lsn, store.watermark);
    for (const [key, { indexes, of }] of found) assert.is(indexes.size, of, `append ${key} is whole`);
    return { appends: new Set(found.keys()), report: store.recovery };
  } finally {
    await store.close();
  }
}

/** Runs the rounds; throws at the first that finds something wrong. The seed decides what is written and when it ends. */
export async function killRounds(rounds: number, seed: number, onRound: (round: number) => void): Promise<KillSummary> {
  const random = seededRandom(seed);
  const startedMs = performance.now();
  const rows: Record<string, number> = {};
  let [directory, acknowledged, recovered] = ["", 0, 0];
  let known = new Set<string>();
  for (let round = 0; round < rounds; round++) {
    if (round % ROUNDS_PER_STORE === 0) {
      directory = join(temporaryDirectory(), "store");
      known = new Set();
    }
    const duringRecovery = round % ROUNDS_PER_STORE > 0 && random.next() < RECOVERY_KILL_SHARE;
    const reported = duringRecovery
      ? await runAndKill(directory, seed + round, round, random.next() * RECOVERY_KILL_MS_MAX, "start")
      : await runAndKill(directory, seed + round, round, random.next() * RUN_MS_MAX, "ready");
    for (const key of reported) known.add(key);
    acknowledged += reported.length;
    // Now and then the next process finds what two kills left.
    if (random.next() < RECOVERY_KILL_SHARE && round + 1 < rounds && (round + 1) % ROUNDS_PER_STORE !== 0) continue;
    const { appends, report } = await readAppends(directory);
    for (const key of known) assert.ok(appends.has(key), `acknowledged append ${key} is there after round ${round}`);
    known = appends;
    recovered += appends.size;
    rows[report.row] = (rows[report.row] ?? 0) + 1;
    onRound(round);
  }
  return { rounds, acknowledged, recovered, rows, seconds: (performance.now() - startedMs) / 1000 };
}
