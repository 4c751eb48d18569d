import type { Command } from "commander";
import { type CommonOptions, durableOption, storeCommand } from "../arguments.js";
import { openRepository, readChain, readCommits } from "../git-history.js";
import { type GitImportProgress, type GitImportResult, importHistory, streamOfRepository } from "../git-import.js";
import { IdBlocks } from "../id-blocks.js";
import { Interruption } from "../interruption.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withStore } from "../stores.js";

interface GitOptions extends CommonOptions {
  readonly name?: string;
  readonly durability: "sync" | "group";
}

const DETAILS = `
Turns the first-parent history of HEAD, oldest commit first, into graph events: nodes Commit, Person and File, edges
AUTHORED, PARENT, TOUCHED and LAST_CHANGED_BY. One commit is one atomic append to the stream git-<name>. A file exists
from the committer date of the commit that adds it until that of the commit that removes it; the dates never run
backwards. PARENT leads only to commits of that history. A path that is not UTF-8 is kept as git quotes it.

Run again, it goes on where it stopped. It refuses, writing nothing, when the history was rewritten since.`;

export function importGitCommand(context: CommandContext): Command {
  return storeCommand("git", "turn a repository's history into a bi-temporal graph")
    .argument("<repository>", "a directory of the repository, or a bare one")
    .option("--name <name>", "the name for the stream; the repository's directory gives it otherwise")
    .addOption(durableOption())
    .addHelpText("after", DETAILS)
    .action((directory: string, options: GitOptions) => importRepository(context, directory, options));
}

async function importRepository(context: CommandContext, directory: string, options: GitOptions): Promise<void> {
  const startedMs = performance.now();
  // What cannot be read must not leave an empty store behind.
  const repository = await openRepository(directory);
  const chain = await readChain(repository);
  const stream = streamOfRepository(options.name ?? repository.name);
  const interruption = new Interruption();
  const progress = startProgress(context.stderr, `importing ${formatCount(chain.length)} commits`);
  try {
    await withStore(options, context.stderr, {}, async (store) => {
      const source = { chain, read: (hashes: readonly string[]) => readCommits(repository, hashes) };
      const result = await importHistory(store, new IdBlocks(store), source, {
        stream,
        durability: options.durability,
        signal: interruption.signal,
        onProgress: (state) => progress.update(() => describeProgress(state, startedMs)),
      });
      progress.stop();
      await printResult(context, stream, result, (performance.now() - startedMs) / 1_000);
      if (result.interrupted) context.exitCode = interruption.exitCode;
    });
  } finally {
    progress.stop();
    interruption.dispose();
  }
}

async function printResult(
  { output }: CommandContext,
  stream: string,
  { commits, events, version, lsn, resumedFrom, interrupted }: GitImportResult,
  seconds: number,
): Promise<void> {
  const eventsPerSecond = Math.round(events / seconds);
  const printed = { commits, events, seconds, eventsPerSecond, stream, version, lsn, resumedFrom, interrupted };
  await output.print(printed, () => {
    if (commits === 0) return `${stream} has everything already: version ${version}`;
    const from = resumedFrom === null ? "" : `, resumed after ${resumedFrom.slice(0, 12)}`;
    const what = `${formatCount(commits)} commits as ${formatCount(events)} events`;
    return `${what} in ${seconds.toFixed(2)} s, ${formatCount(eventsPerSecond)}/s, into ${stream}${from}`;
  });
}

function describeProgress({ commits, commitsTotal, events }: GitImportProgress, startedMs: number): string {
  const rate = events / ((performance.now() - startedMs) / 1_000);
  const share = commitsTotal === 0 ? 100 : Math.floor((commits / commitsTotal) * 100);
  return `${share} %  ${formatCount(commits)} of ${formatCount(commitsTotal)} commits, ${formatCount(events)} events, ${formatCount(rate)}/s`;
}
