/** The demo's work: import a history, ask three questions, reopen, ask again. */

import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert } from "../assert.js";
import { isStoreError } from "../errors.js";
import type { IoDescription } from "../events/index.js";
import { fileSystemName } from "../ffi/index.js";
import { makeDemoHistory } from "./demo-history.js";
import { askQuestions, chooseQuestions, type DemoAnswers, type DemoQuestions } from "./demo-questions.js";
import { openRepository, readChain, readCommits } from "./git-history.js";
import { type CommitSource, type GitImportProgress, importHistory, streamOfRepository } from "./git-import.js";
import { IdBlocks } from "./id-blocks.js";
import { LatencyHistogram, type LatencySummary } from "./latency-histogram.js";
import { stringify } from "./output.js";
import { withStore } from "./stores.js";

/** A history to import, and where it comes from. */
export interface DemoSource extends CommitSource {
  readonly name: string;
  /** Null for the bundled history. */
  readonly directory: string | null;
  /** How many commits of the repository are left out, so that the demo stays a demo. */
  readonly leftOut: number;
}

export interface DemoImport {
  readonly commits: number;
  readonly events: number;
  readonly seconds: number;
  readonly eventsPerSecond: number;
  readonly appendLatencyMs: LatencySummary;
  readonly stream: string;
  readonly io: IoDescription;
}

export interface DemoAsked {
  readonly questions: DemoQuestions;
  readonly answers: DemoAnswers;
}

export interface DemoReopened {
  readonly seconds: number;
  readonly events: number;
  readonly answers: DemoAnswers;
  readonly same: boolean;
}

const COMMITS_MAX = 20_000;

/** The repository that the directory belongs to, or the bundled history when there is none, or none that git can read. */
export async function findDemoSource(directory: string): Promise<DemoSource> {
  try {
    const repository = await openRepository(directory);
    const chain = await readChain(repository);
    if (chain.length > 0) {
      return {
        name: repository.name,
        directory,
        chain: chain.slice(0, COMMITS_MAX),
        leftOut: Math.max(0, chain.length - COMMITS_MAX),
        read: (hashes) => readCommits(repository, hashes),
      };
    }
  } catch (error) {
    if (!isStoreError(error, "ERR_IMPORT_SOURCE")) throw error;
  }
  const commits = makeDemoHistory();
  const byHash = new Map(commits.map((commit) => [commit.hash, commit]));
  return {
    name: "demo",
    directory: null,
    chain: [...byHash.keys()],
    leftOut: 0,
    read: async function* (hashes) {
      yield hashes.flatMap((hash) => byHash.get(hash) ?? []);
    },
  };
}

/** Imports the source into the store and asks the three questions. */
export async function importAndAsk(
  store: string,
  source: DemoSource,
  how: {
    readonly stderr: NodeJS.WriteStream;
    readonly signal: AbortSignal;
    readonly onProgress: (progress: GitImportProgress) => void;
  },
): Promise<{ readonly imported: DemoImport; readonly asked: DemoAsked }> {
  return withStore({ store }, how.stderr, {}, async (open) => {
    const stream = streamOfRepository(source.name);
    const latencies = new LatencyHistogram();
    const startedMs = performance.now();
    const { commits, events } = await importHistory(open, new IdBlocks(open), source, {
      stream,
      durability: "group",
      signal: how.signal,
      onProgress: how.onProgress,
      onLatency: (latencyMs) => latencies.record(latencyMs),
    });
    const seconds = (performance.now() - startedMs) / 1_000;
    how.signal.throwIfAborted();
    const imported = {
      commits,
      events,
      seconds,
      eventsPerSecond: Math.round(events / seconds),
      appendLatencyMs: latencies.summary(),
      stream,
      io: open.io,
    };
    const graph = await open.graph();
    const questions = chooseQuestions(graph);
    assert(questions !== null, "a history that was imported has a commit");
    return { imported, asked: { questions, answers: askQuestions(graph, questions) } };
  });
}

/** Opens the store again, rebuilds the graph from the log alone, and asks the same questions. */
export async function reopenAndAsk(
  store: string,
  stderr: NodeJS.WriteStream,
  { questions, answers }: DemoAsked,
): Promise<DemoReopened> {
  const startedMs = performance.now();
  return withStore({ store }, stderr, {}, async (open) => {
    const graph = await open.graph();
    const seconds = (performance.now() - startedMs) / 1_000;
    const again = askQuestions(graph, questions);
    return { seconds, events: open.watermark, answers: again, same: stringify(again) === stringify(answers) };
  });
}

/**
 * Makes an empty directory for a store: in the system's temporary directory, or, where that is memory, in /var/tmp, which
 * is a disk on most systems. A demo of durable writes should write to one.
 */
export function makeTemporaryStore(): string {
  const places = [tmpdir(), "/var/tmp"];
  const onDisk = places.find((place) => existsSync(place) && fileSystemName(place) !== "tmpfs");
  return mkdtempSync(join(onDisk ?? tmpdir(), "varve-demo-"));
}
