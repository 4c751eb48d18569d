/** The demo's work: import a history, ask three questions, reopen, ask again. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
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
