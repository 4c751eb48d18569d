/**
 * Runs every compiled `*.test.js` in a process of its own, two at a time, and ends with `N passed, N failed, N skipped`.
 *
 *     node build/test/run.js [part of a path]
 *
 * A file says how it went in one JSON line on file descriptor 3 (see support/suite.ts). A file that says nothing, exits
 * with another code than 0 or outlives its deadline has failed, and so has a run that finds no file at all.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { type FileSummary, SUMMARY_FD_VARIABLE } from "./support/file-summary.js";
import { temporaryDirectory } from "./support/temporary-directory.js";

const PARALLEL_FILES = 2;
const FILE_DEADLINE_MS = 5 * 60_000;
const OUTPUT_CHARACTERS_MAX = 256 * 1024;
const SUMMARY_FD = 3;

interface FileOutcome {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: readonly string[];
  /** Why the file as a whole is at fault, or null. */
  readonly fault: string | null;
  readonly output: string;
  readonly elapsedMs: number;
}

const root = fileURLToPath(new URL(".", import.meta.url));
const running = new Set<ChildProcess>();

function findTestFiles(filter: string): string[] {
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".test.js") && path.includes(filter))
    .sort();
}

async function runFile(path: string, directory: string): Promise<FileOutcome> {
  const startedMs = performance.now();
  const child = spawn(process.execPath, ["--enable-source-maps", join(root, path)], {
    // A group of its own, so that what a test leaves running can be ended with it.
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    env: { ...process.env, [SUMMARY_FD_VARIABLE]: String(SUMMARY_FD), VARVE_TEST_DIR: directory },
  });
  running.add(child);
  const output = new Tail(child.stdio[1], child.stdio[2]);
  const summary = new Tail(child.stdio[SUMMARY_FD]);
  let late = false;
  const deadline = setTimeout(() => {
    late = true;
    killGroup(child);
  }, FILE_DEADLINE_MS);
  const ending = await waitForEnd(child);
  clearTimeout(deadline);
  running.delete(child);

  const elapsedMs = performance.now() - startedMs;
  return judge(late ? `did not end within ${FILE_DEADLINE_MS} ms` : ending, summary.text, output.text, elapsedMs);
}

/** The last characters of some streams, so that a chatty test cannot fill the runner's memory. */
class Tail {
  text = "";

  constructor(...streams: readonly unknown[]) {
    for (const stream of streams) {
      if (!(stream instanceof Readable)) throw new TypeError("the child has no pipe there");
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        this.text = (this.text + chunk).slice(-OUTPUT_CHARACTERS_MAX);
      });
    }
  }
}

/** Resolves when the process is gone and its pipes are read, with what is wrong about the way it ended, or null. */
function waitForEnd(child: ChildProcess): Promise<string | null> {
  return new Promise((resolve) => {
    let ending: string | null = null;
    child.on("error", (error) => resolve(`could not be started: ${error.message}`));
    child.on("exit", (code, signal) => {
      if (code !== 0) ending = signal === null ? `exited with ${code}` : `was ended by ${signal}`;
      // A forgotten child of the test would hold the pipes open for ever.
      killGroup(child);
    });
    child.on("close", () => resolve(ending));
  });
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // The group is gone already.
  }
}

function judge(ending: string | null, summaryText: string, output: string, elapsedMs: number): FileOutcome {
  const summary = summaryText === "" ? null : (JSON.parse(summaryText) as FileSummary);
  if (summary === null) {
    const fault = `${ending ?? "exited with 0"} and gave no summary`;
    return { passed: 0, failed: 1, skipped: [], fault, output, elapsedMs };
  }
  const fault = summary.fault ?? (summary.failed === 0 ? ending : null);
  return { ...summary, failed: summary.failed + (fault === null ? 0 : 1), fault, output, elapsedMs };
}

function report(path: string, outcome: FileOutcome): void {
  const seconds = (outcome.elapsedMs / 1000).toFixed(1);
  if (outcome.failed === 0) {
    console.log(`ok    ${path} (${outcome.passed} in ${seconds} s)`);
    for (const skip of outcome.skipped) console.log(`      skipped: ${skip}`);
    return;
  }
  console.log(`FAIL  ${path} (${outcome.failed} failed in ${seconds} s)`);
  console.log(outcome.output.trimEnd());
  if (outcome.fault !== null) console.log(`the file as a whole: ${outcome.fault}`);
}

async function main(filter: string): Promise<void> {
  const paths = findTestFiles(filter);
  const directory = temporaryDirectory();
  const total = { passed: 0, failed: 0, skipped: 0 };
  const queue = paths.values();

  const work = async (): Promise<void> => {
    for (const path of queue) {
      const outcome = await runFile(path, directory);
      total.passed += outcome.passed;
      total.failed += outcome.failed;
      total.skipped += outcome.skipped.length;
      report(path, outcome);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_FILES }, work));

  if (paths.length === 0) console.log(`no test file matches "${filter}" in ${relative(process.cwd(), root) || "."}`);
  if (total.failed > 0 || paths.length === 0) process.exitCode = 1;
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    for (const child of running) killGroup(child);
    process.exit(1);
  });
}

await main(process.argv[2] ?? "");
