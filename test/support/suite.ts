/**
 * Our way into uvu. uvu 0.5.6 exits 0 when a hook throws, when `.run()` is forgotten, when something that is no Error is
 * thrown and when a test calls `process.exit(0)`, and it has no time-outs. So here
 *
 * - hooks run inside each test, and their failure is the test's failure;
 * - every test has a deadline;
 * - running is scheduled by the wrapper, so tests are declared synchronously at a module's top level;
 * - the process exits 0 only if at least one test was declared and every declared one passed or was skipped;
 * - what keeps the process alive after its last test (a ring, a timer, a child) fails the file, for it is a leak.
 */

import { writeSync } from "node:fs";
import { suite as uvuSuite } from "uvu";
import { type FileSummary, SUMMARY_FD_VARIABLE } from "./file-summary.js";

const DEADLINE_MS = 60_000;
const LEAK_GRACE_MS = 10_000;

type Body = () => void | Promise<void>;

export interface TestOptions {
  /** How long the test may take before it fails. 60,000 by default. */
  readonly timeoutMs?: number;
}

export interface Suite {
  (name: string, body: Body, options?: TestOptions): void;
  /** Runs before each test of the suite, inside it. */
  beforeEach(hook: Body): void;
  /** Runs after each test of the suite, inside it, also after one that failed. */
  afterEach(hook: Body): void;
  /** Declares a test that cannot run here, and says why. */
  skip(name: string, reason: string): void;
}

const summaryFd = process.env[SUMMARY_FD_VARIABLE];
delete process.env[SUMMARY_FD_VARIABLE];

const skipped: string[] = [];
let declared = 0;
let passed = 0;
let executed = 0;
let leak: string | null = null;

/** Opens a suite, named by the path of what it tests: `suite("wal/recovery")`. */
export function suite(suiteName: string): Suite {
  const uvu = uvuSuite(suiteName);
  const before: Body[] = [];
  const after: Body[] = [];
  let scheduled = false;

  const requireOpen = (what: string): void => {
    if (scheduled)
      throw new Error(`${suiteName}: ${what} was declared after the module's first await; it would never run`);
  };

  const declare = (name: string, body: Body, options: TestOptions = {}): void => {
    requireOpen(`"${name}"`);
    declared += 1;
    const deadlineMs = options.timeoutMs ?? DEADLINE_MS;
    uvu(name, () => runTest(body, before, after, deadlineMs));
  };

  queueMicrotask(() => {
    scheduled = true;
    uvu.run();
  });

  return Object.assign(declare, {
    beforeEach: (hook: Body): void => {
      requireOpen("beforeEach");
      before.push(hook);
    },
    afterEach: (hook: Body): void => {
      requireOpen("afterEach");
      after.push(hook);
    },
    skip: (name: string, reason: string): void => {
      requireOpen(`"${name}"`);
      skipped.push(`${suiteName}: ${name}: ${reason}`);
      uvu.skip();
      console.log(`skipped: ${suiteName}: ${name}: ${reason}`);
    },
  });
}

async function runTest(body: Body, before: readonly Body[], after: readonly Body[], deadlineMs: number): Promise<void> {
  const failures: Error[] = [];
  const attempt = async (work: Body): Promise<void> => {
    try {
      await withDeadline(work, deadlineMs);
    } catch (error) {
      failures.push(asError(error));
    }
  };

  await attempt(async () => {
    for (const hook of before) await hook();
    await body();
  });
  for (const hook of after) await attempt(hook);

  executed += 1;
  if (executed === declared) watchForLeaks();
  const [first, ...others] = failures;
  for (const other of others) console.error("and in a later hook of the same test:", other);
  if (first !== undefined) throw printable(first);
  passed += 1;
}

// The timer holds the process, so that a test that waits for nothing at all is reported too.
async function withDeadline(work: Body, deadlineMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`did not finish within ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    await Promise.race([(async () => work())(), deadline]);
  } finally {
    clearTimeout(timer);
  }
}

// uvu prints `details` as a text, and silently ends when they are none.
function printable(error: Error): Error {
  const { details } = error as { details?: unknown };
  if (details === undefined || typeof details === "string") return error;
  return Object.assign(new Error(`${error.message} ${JSON.stringify(details)}`), { stack: error.stack });
}

// uvu reads `name` and `stack` of what was thrown and silently passes when there is neither.
function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`something that is no Error was thrown: ${String(thrown)}`);
}

function watchForLeaks(): void {
  const timer = setTimeout(() => {
    leak = `still alive ${LEAK_GRACE_MS} ms after the last test, held by ${process.getActiveResourcesInfo().join(", ")}`;
    process.exit(1);
  }, LEAK_GRACE_MS);
  timer.unref();
}

process.on("exit", (code) => {
  const failed = declared - passed;
  const fault = declared + skipped.length === 0 ? "no test was declared" : leak;
  if (failed > 0 || fault !== null) process.exitCode = code === 0 ? 1 : code;
  if (executed < declared)
    console.error(`${declared - executed} of ${declared} declared tests did not run to their end`);
  if (fault !== null) console.error(fault);
  if (summaryFd === undefined) return;
  const summary: FileSummary = { passed, failed, skipped, fault };
  writeSync(Number(summaryFd), `${JSON.stringify(summary)}\n`);
});
