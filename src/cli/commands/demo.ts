import { rmSync } from "node:fs";
import { Command } from "commander";
import { jsonOption } from "../arguments.js";
import {
  type DemoAsked,
  type DemoImport,
  type DemoReopened,
  type DemoSource,
  findDemoSource,
  importAndAsk,
  makeTemporaryStore,
  reopenAndAsk,
} from "../demo.js";
import type { LastChange } from "../demo-questions.js";
import { EXIT_FAILED } from "../failure.js";
import { formatInstant } from "../instant.js";
import { Interruption } from "../interruption.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";

interface DemoOptions {
  readonly store?: string;
}

const SUMMARY = "import the repository you stand in, ask its past three questions, reopen, ask again";
const DETAILS = `
Where there is no repository a bundled history is imported. The store is a temporary one that is removed afterwards,
unless --store names a directory to keep it in.`;

export function demoCommand(context: CommandContext): Command {
  return new Command("demo")
    .summary(SUMMARY)
    .description(SUMMARY)
    .option("--store <dir>", "keep the store there")
    .addOption(jsonOption())
    .addHelpText("after", DETAILS)
    .action((options: DemoOptions) => runDemo(context, options));
}

async function runDemo(context: CommandContext, options: DemoOptions): Promise<void> {
  const { output, stderr } = context;
  const source = await findDemoSource(".");
  const store = options.store ?? makeTemporaryStore();
  const isKept = options.store !== undefined;
  const interruption = new Interruption();
  const progress = startProgress(stderr, `importing ${formatCount(source.chain.length)} commits`);
  try {
    const { imported, asked } = await importAndAsk(store, source, {
      stderr,
      signal: interruption.signal,
      onProgress: ({ commits, commitsTotal }) =>
        progress.update(() => `importing ${formatCount(commits)} of ${formatCount(commitsTotal)} commits`),
    });
    const reopened = await reopenAndAsk(store, stderr, asked);
    progress.stop();
    const repository = source.directory === null ? null : source.name;
    await output.print({ repository, store: isKept ? store : null, ...imported, ...asked, reopened }, () =>
      [
        ...describeImport(source, imported),
        ...describeAnswers(asked),
        ...describeReopening(reopened, store, isKept),
      ].join("\n"),
    );
    if (!reopened.same) context.exitCode = EXIT_FAILED;
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    context.exitCode = interruption.exitCode;
  } finally {
    progress.stop();
    interruption.dispose();
    if (!isKept) rmSync(store, { recursive: true, force: true });
  }
}

function describeImport(source: DemoSource, imported: DemoImport): string[] {
  const { commits, events, seconds, eventsPerSecond, appendLatencyMs, io } = imported;
  const what =
    source.directory === null ? "a bundled history (there is no repository here)" : `the repository ${source.name}`;
  const leftOut = source.leftOut === 0 ? "" : `; its newest ${formatCount(source.leftOut)} commits are left out`;
  const ring = io.driver === "liburing" ? "io_uring through liburing" : "io_uring through its system calls";
  const means = io.backend === "uring" ? ring : io.backend === "threadpool" ? "libuv's thread pool" : "buffered files";
  const why = io.reason === null ? "" : ` (${io.reason})`;
  return [
    `Imported ${what}${leftOut}`,
    `  ${formatCount(commits)} commits became ${formatCount(events)} events in ${seconds.toFixed(2)} s: ${formatCount(eventsPerSecond)} events/s`,
    `  one durable, atomic append per commit: p50 ${appendLatencyMs.p50.toFixed(2)} ms, p99 ${appendLatencyMs.p99.toFixed(2)} ms`,
    `  written with ${means}${io.direct ? ", O_DIRECT" : ""}${why}`,
  ];
}

function describeAnswers({ questions, answers }: DemoAsked): string[] {
  const { filesThen, filesNow, lastChange, filesAsKnownThen } = answers;
  const then = formatInstant(questions.validAt);
  const lines = [
    "",
    `1. Which files existed at ${then}, when a third of the commits were made?   (valid time)`,
    `   ${formatCount(filesThen.count)}: ${filesThen.examples.join(", ")}${filesThen.count > filesThen.examples.length ? ", …" : ""}`,
    `   At the last commit there are ${formatCount(filesNow.count)}.`,
    "",
    "2. Who had changed a file last, then and at the end?   (an edge through time)",
  ];
  if (lastChange === null) lines.push("   No file lived through both.");
  else {
    lines.push(`   ${lastChange.path}`);
    lines.push(`   then ${describeChange(lastChange.atThird)}`, `   end  ${describeChange(lastChange.atEnd)}`);
  }
  lines.push(
    "",
    `3. Which files would the store have listed for the end, when it knew only that third?   (recorded time)`,
    `   ${formatCount(filesAsKnownThen.count)}, as of LSN ${formatCount(questions.lsn)}: what it learned later does not change what it knew.`,
  );
  return lines;
}

function describeReopening({ seconds, events, same }: DemoReopened, store: string, isKept: boolean): string[] {
  const verdict = same ? "the same three answers ✓" : "DIFFERENT ANSWERS ✗";
  return [
    "",
    `Closed, reopened from its log, ${formatCount(events)} events replayed in ${seconds.toFixed(2)} s, asked again: ${verdict}`,
    isKept
      ? `The store is in ${store}. Try: varve graph find --label Person --store ${store}`
      : "The temporary store is removed.",
  ];
}

function describeChange(change: LastChange | null): string {
  if (change === null) return "nobody";
  return `${change.by}, in ${change.commit.slice(0, 12)} "${change.subject.slice(0, 60)}"`;
}
