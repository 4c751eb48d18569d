/**
 * The corruption fuzz by itself: `npm run fuzz` damages everything there is to damage, `npm run fuzz -- --every N` every n-th bit of it.
 * Each of the stores is damaged in a process of its own. `--write-every N` opens every n-th damaged store for writing too.
 */

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { formatReport, mergeReports } from "./fuzz-report.js";
import { type FuzzReport, runFuzz } from "./fuzz-run.js";
import { STORE_NAMES } from "./fuzz-store.js";

const { values } = parseArgs({
  options: {
    every: { type: "string", default: "1" },
    "write-every": { type: "string", default: "100" },
    only: { type: "string" },
  },
});

function count(name: "every" | "write-every", fallback: number): number {
  const value = Number(values[name] ?? fallback);
  if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`--${name} takes a count, not "${values[name]}"`);
  return value;
}

const every = Math.max(1, count("every", 1));
const writeEvery = Math.max(1, count("write-every", 100));

if (process.send !== undefined && values.only !== undefined) {
  const only = STORE_NAMES.filter((name) => name === values.only);
  const onProgress = (done: number): void => {
    if (done % 500 === 0) process.send?.({ done });
  };
  const report = await runFuzz({ base: temporaryDirectory(), every, writeEvery, only, onProgress });
  process.send({ report });
  process.disconnect();
} else {
  const startedMs = performance.now();
  const doneBy = new Map<string, number>();
  const reports = await Promise.all(
    STORE_NAMES.map(async (only): Promise<FuzzReport> => {
      const parameters = ["--every", `${every}`, "--write-every", `${writeEvery}`, "--only", only];
      const child = fork(fileURLToPath(import.meta.url), parameters);
      let report: FuzzReport | null = null;
      child.on("message", (message: { done?: number; report?: FuzzReport }) => {
        if (message.report !== undefined) report = message.report;
        doneBy.set(only, message.done ?? message.report?.done ?? 0);
        const sum = [...doneBy.values()].reduce((a, b) => a + b, 0);
        if (process.stderr.isTTY) process.stderr.write(`\r${sum} kinds of damage`);
      });
      const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
      if (report === null)
        throw new Error(`a process of the fuzz ended with ${code ?? signal}, which no damage may do`);
      return report;
    }),
  );
  if (process.stderr.isTTY) process.stderr.write("\n");
  const report = mergeReports(reports);
  console.log(formatReport(report, (performance.now() - startedMs) / 1000));
  if (report.failures.length > 0) process.exitCode = 1;
}
