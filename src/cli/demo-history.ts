/**
 * A made-up project's history, for a demo where there is no repository: the same commits each time it is made.
 *
 * It comes in the form that reading a repository has, so that what follows is the real import.
 */

import { createHash } from "node:crypto";
import type { GitCommit, PathChange } from "./git-log-parser.js";

const COMMITS = 1_500;
const FIRST_COMMIT_S = Date.UTC(2024, 0, 8, 9) / 1_000;
const STEP_S_MAX = 6 * 3_600;
const FILES_MAX = 400;
const FOLDERS = ["src/core", "src/api", "src/store", "src/ui", "test/core", "test/api", "docs", "tools"];
const WORDS = ["lake", "layer", "silt", "core", "drill", "season", "spring", "thaw", "shore", "basin", "clay", "reed"];
const PEOPLE = [
  { name: "Ada Lind", email: "ada@varve.example" },
  { name: "Björn Ek", email: "bjorn@varve.example" },
  { name: "Chiara Rossi", email: "chiara@varve.example" },
  { name: "Daiki Mori", email: "daiki@varve.example" },
] as const;

/** The history, oldest commit first. */
export function makeDemoHistory(): GitCommit[] {
  const next = xorshift(0x5eed);
  const below = (limit: number): number => next() % limit;
  const files: string[] = [];
  const commits: GitCommit[] = [];
  let dateS = FIRST_COMMIT_S;
  let parent: string | null = null;
  for (let index = 0; index < COMMITS; index += 1) {
    const changes = makeChanges(files, index, below);
    // Each of them has a stretch of days in which most of the work is theirs.
    const person = PEOPLE[(Math.floor(index / 97) + (below(4) === 0 ? below(4) : 0)) % PEOPLE.length] ?? PEOPLE[0];
    const hash: string = createHash("sha1").update(`varve demo ${index} after ${parent}`).digest("hex");
    commits.push({
      hash,
      parents: parent === null ? [] : [parent],
      authorName: person.name,
      authorEmail: person.email,
      authorDateS: dateS - below(3_600),
      committerDateS: dateS,
      subject: describeChanges(changes),
      changes,
    });
    parent = hash;
    dateS += 60 + below(STEP_S_MAX);
  }
  return commits;
}

function makeChanges(files: string[], index: number, below: (limit: number) => number): PathChange[] {
  const changes = new Map<string, PathChange>();
  const count = index === 0 ? 12 : 1 + below(4);
  for (let place = 0; place < count; place += 1) {
    const choice = below(20);
    if (files.length === 0 || index === 0 || (choice < 6 && files.length < FILES_MAX)) {
      const path = `${FOLDERS[below(FOLDERS.length)]}/${WORDS[below(WORDS.length)]}-${index}-${place}.ts`;
      changes.set(path, { kind: "added", path });
      files.push(path);
      continue;
    }
    const at = below(files.length);
    const path = files[at] ?? "";
    if (changes.has(path)) continue;
    const isRemoval = choice === 19;
    changes.set(path, { kind: isRemoval ? "removed" : "modified", path });
    if (isRemoval) files.splice(at, 1);
  }
  return [...changes.values()];
}

function describeChanges(changes: readonly PathChange[]): string {
  const [first] = changes;
  if (first === undefined) return "release";
  const verb = { added: "add", modified: "improve", removed: "drop" }[first.kind];
  return changes.length === 1 ? `${verb} ${first.path}` : `${verb} ${first.path} and ${changes.length - 1} more`;
}

// Marsaglia's 32-bit xorshift: enough for a history that only has to look like one.
function xorshift(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
