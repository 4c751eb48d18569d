/**
 * Repositories for tests, made with one `git fast-import` each.
 *
 * Git is run without the machine's own configuration, so that a test means the same everywhere.
 */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import type { SeededRandom } from "../../support/seeded-random.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

/** What a commit does to one path. `null` removes it. */
export type FixtureChange = readonly [path: string | Buffer, content: FixtureContent | null];
export type FixtureContent = string | { readonly symlink: string } | { readonly gitlink: string };

export interface FixtureCommit {
  readonly changes: readonly FixtureChange[];
  /** Indexes of the commits that this one follows; the one before when absent. */
  readonly parents?: readonly number[];
  readonly author?: string;
  readonly authorDateS?: number;
  readonly committerDateS?: number;
  readonly message?: string | Buffer;
  /** The name of the message's encoding, as `i18n.commitEncoding` writes it into a commit. */
  readonly encoding?: string;
}

export interface FixtureOptions {
  readonly bare?: boolean;
  readonly objectFormat?: "sha1" | "sha256";
  readonly directory?: string;
}

const ENVIRONMENT = {
  ...process.env,
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_SYSTEM: "/dev/null",
  GIT_AUTHOR_NAME: "Ann",
  GIT_AUTHOR_EMAIL: "ann@example.org",
  GIT_COMMITTER_NAME: "Cleo",
  GIT_COMMITTER_EMAIL: "cleo@example.org",
};

/** Runs git there and returns its output. */
export function git(directory: string, parameters: readonly string[], input: string | Buffer = ""): Buffer {
  const run = spawnSync("git", parameters, { cwd: directory, env: ENVIRONMENT, maxBuffer: 2 ** 28, input });
  if (run.status !== 0) throw new Error(`git ${parameters.join(" ")}: ${run.stderr}`, { cause: run.error });
  return run.stdout;
}

/** Whether this git can make repositories with SHA-256 hashes. */
export function gitKnowsSha256(): boolean {
  const directory = join(temporaryDirectory(), "probe.git");
  return spawnSync("git", ["init", "-q", "--bare", "--object-format=sha256", directory]).status === 0;
}

/** Makes a repository with these commits on `main`, which HEAD names; the last commit is its head. */
export function makeRepository(commits: readonly FixtureCommit[], options: FixtureOptions = {}): string {
  const directory = options.directory ?? join(temporaryDirectory(), "fixture");
  const parameters = ["init", "-q", "-b", "main"];
  if (options.bare === true) parameters.push("--bare");
  if (options.objectFormat === "sha256") parameters.push("--object-format=sha256");
  git(".", [...parameters, directory]);
  addCommits(directory, commits);
  return directory;
}

/** Adds commits to `main`. The parents of the first are what `main` is, or none. */
export function addCommits(directory: string, commits: readonly FixtureCommit[]): void {
  if (commits.length === 0) return;
  const tip = spawnSync("git", ["rev-parse", "--verify", "-q", "main"], { cwd: directory, encoding: "utf8" });
  const from = tip.status === 0 ? tip.stdout.trim() : null;
  const parts = commits.map((commit, index) => encodeCommit(commit, index, index === 0 ? from : null));
  const done = Buffer.from(`reset refs/heads/main\nfrom :${commits.length}\n\ndone\n`);
  git(directory, ["fast-import", "--quiet", "--done", "--force"], Buffer.concat([...parts.flat(), done]));
}

/** The paths that exist at a commit, as git lists them. */
export function listTree(directory: string, commit: string): Buffer[] {
  const output = git(directory, ["ls-tree", "-r", "--name-only", "--full-tree", "-z", commit]);
  const paths: Buffer[] = [];
  for (let start = 0; start < output.length; ) {
    const end = output.indexOf(0, start);
    paths.push(output.subarray(start, end));
    start = end + 1;
  }
  return paths;
}

/** The first-parent chain of a commit, oldest first. */
export function listChain(directory: string, head = "HEAD"): string[] {
  return git(directory, ["rev-list", "--first-parent", "--reverse", head])
    .toString()
    .trim()
    .split("\n")
    .filter(Boolean);
}

function encodeCommit(commit: FixtureCommit, index: number, from: string | null): Buffer[] {
  const committerDateS = commit.committerDateS ?? 1_000_000_000 + index;
  const author = commit.author ?? "Ann <ann@example.org>";
  const message = Buffer.from(commit.message ?? `commit ${index}`);
  const parents = commit.parents ?? (index === 0 ? [] : [index - 1]);
  const lines = [
    // A branch per commit: fast-import takes what a branch was for the first parent.
    `commit refs/fixture/${index}`,
    `mark :${index + 1}`,
    `author ${author} ${commit.authorDateS ?? committerDateS} +0200`,
    `committer Cleo <cleo@example.org> ${committerDateS} -0300`,
    ...(commit.encoding === undefined ? [] : [`encoding ${commit.encoding}`]),
    `data ${message.length}`,
  ];
  const links = parents.map((parent, place) => `${place === 0 ? "from" : "merge"} :${parent + 1}`);
  if (from !== null) links.unshift(`from ${from}`);
  const changes = commit.changes.flatMap(([path, content]) => encodeChange(quoteForImport(Buffer.from(path)), content));
  return [
    Buffer.from(`${lines.join("\n")}\n`),
    message,
    Buffer.from(`\n${[...links, ...changes].map((line) => `${line}\n`).join("")}\n`),
  ];
}

function encodeChange(path: string, content: FixtureContent | null): string[] {
  if (content === null) return [`D ${path}`];
  if (typeof content === "string") return [`M 100644 inline ${path}`, `data ${Buffer.byteLength(content)}`, content];
  if ("gitlink" in content) return [`M 160000 ${content.gitlink} ${path}`];
  return [`M 120000 inline ${path}`, `data ${Buffer.byteLength(content.symlink)}`, content.symlink];
}

function quoteForImport(path: Buffer): string {
  return `"${Array.from(path, (byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("")}"`;
}

const NAMES: readonly (string | Buffer)[] = [
  ..."abcdef",
  "ä",
  "日本",
  "two\nlines",
  '"quoted"',
  "back\\slash",
  "tab\there",
  "-dash",
  " space ",
  "__proto__",
  "constructor",
  ">mark",
  "A",
  "\u0001",
  "e\u0301",
  Buffer.from([0xff]),
  Buffer.from("caf\xe9", "latin1"),
  String.raw`"\377"`,
];

/** A history with merges, octopus merges, clocks in disorder, strange names, and paths that come, go and change type. */
export function randomHistory(random: SeededRandom, commitCount: number): FixtureCommit[] {
  const commits: FixtureCommit[] = [];
  let dateS = 1_500_000_000;
  for (let index = 0; index < commitCount; index += 1) {
    dateS += random.pick([0, 0, 1, 60, 86_400, -3_600]);
    commits.push({
      changes: Array.from({ length: random.pick([0, 1, 1, 2, 3, 8]) }, () => randomChange(random)),
      ...(index === 0 ? {} : { parents: randomParents(random, index) }),
      author: random.pick([
        "Ann <ann@example.org>",
        "Ann B. <ann@example.org>",
        "Bö <b@example.org>",
        " <>",
        "Cy <>",
        " <d@x>",
      ]),
      authorDateS: dateS + random.pick([0, -5, 100, -1_000_000, 1_000_000]),
      committerDateS: dateS,
      message: random.pick(["plain", "", "two\nlines\n\nbody", "ü > ä", ">", Buffer.from([0xff, 0x41])]),
    });
  }
  return commits;
}

function randomChange(random: SeededRandom): FixtureChange {
  const depth = random.pick([1, 1, 2, 2, 3, 4]);
  const parts = Array.from({ length: depth }, () => Buffer.from(random.pick(NAMES)));
  const path = Buffer.concat(parts.flatMap((part, index) => (index === 0 ? [part] : [Buffer.from("/"), part])));
  return [
    path,
    random.pick<FixtureContent | null>([
      null,
      null,
      `text ${random.integer(1_000)}`,
      `text ${random.integer(1_000)}`,
      { symlink: `to${random.integer(10)}` },
      {
        gitlink: random
          .integer(2 ** 32)
          .toString(16)
          .padStart(40, "0"),
      },
    ]),
  ];
}

function randomParents(random: SeededRandom, index: number): number[] {
  const count = random.pick([1, 1, 1, 2, 2, 3]);
  const parents = new Set([index - 1 - (random.integer(4) === 0 ? random.integer(Math.min(index, 3)) : 0)]);
  while (parents.size < Math.min(count, index)) parents.add(random.integer(index));
  return [...parents];
}
