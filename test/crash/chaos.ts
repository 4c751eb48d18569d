/** The chaos test by itself: `npm run chaos -- --minutes 5 [--seed N] [--processes 4] [--threads 2] [--kill-every-ms 1000]`. */

import { parseArgs } from "node:util";
import { type ChaosOptions, runChaos } from "./chaos-rounds.js";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "5" },
    seed: { type: "string" },
    processes: { type: "string", default: "4" },
    threads: { type: "string", default: "2" },
    "kill-every-ms": { type: "string", default: "1000" },
    "appends-per-second": { type: "string", default: "2000" },
    "segment-kib": { type: "string", default: "1024" },
  },
});

function positive(name: Exclude<keyof typeof values, "seed">): number {
  const value = Number(values[name]);
  if (!(value > 0) || !Number.isFinite(value))
    throw new TypeError(`--${name} takes a number above 0, not "${values[name]}"`);
  return value;
}

function count(name: Exclude<keyof typeof values, "seed">): number {
  const value = positive(name);
  if (!Number.isSafeInteger(value)) throw new TypeError(`--${name} takes a count, not "${values[name]}"`);
  return value;
}

function seed(): Pick<ChaosOptions, "seed"> {
  if (values.seed === undefined) return {};
  if (!/^\d+$/.test(values.seed)) throw new TypeError(`--seed takes an integer, not "${values.seed}"`);
  return { seed: Number(values.seed) };
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

try {
  const report = await runChaos({
    ...seed(),
    seconds: positive("minutes") * 60,
    processes: count("processes"),
    threads: count("threads"),
    killEveryMs: count("kill-every-ms"),
    appendsPerSecond: count("appends-per-second"),
    segmentBytes: count("segment-kib") * 1024,
    onAct: ({ kills, terminations, openings }) => {
      if (process.stderr.isTTY) {
        process.stderr.write(`\r${kills} kills, ${terminations} terminations, ${openings} openings`);
      }
    },
  });
  if (process.stderr.isTTY) process.stderr.write("\n");
  console.log(JSON.stringify(report));
} catch (error) {
  console.error((error as Error).stack);
  console.log(JSON.stringify({ ok: false, reason: (error as Error).message }));
  process.exitCode = 1;
}
