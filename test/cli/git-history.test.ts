import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { hasGit, openRepository, readChain, readCommits } from "../../src/cli/git-history.js";
import type { GitCommit } from "../../src/cli/git-log-parser.js";
import { decodeGitPath } from "../../src/cli/git-path.js";
import { assert, rejects } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import {
  addCommits,
  type FixtureCommit,
  git,
  gitKnowsSha256,
  listChain,
  listTree,
  makeRepository,
  randomHistory,
} from "./support/git-fixture.js";

const test = suite("cli/git-history");

async function readHistory(directory: string): Promise<GitCommit[]> {
  const repository = await openRepository(directory);
  const commits: GitCommit[] = [];
  for await (const some of readCommits(repository, await readChain(repository))) commits.push(...some);
  return commits;
}

/** Requires that after each commit the paths are those that git itself lists. */
async function requireSameTrees(directory: string): Promise<GitCommit[]> {
  const commits = await readHistory(directory);
  assert.equal(
    commits.map((commit) => commit.hash),
    listChain(directory),
  );
  const paths = new Set<string>();
  for (const commit of commits) {
    for (const change of commit.changes) {
      assert.is(paths.has(change.path), change.kind !== "added", `${change.kind} ${change.path} in ${commit.hash}`);
      if (change.kind === "removed") paths.delete(change.path);
      else paths.add(change.path);
    }
    assert.equal([...paths].sort(), listTree(directory, commit.hash).map(decodeGitPath).sort(), commit.hash);
  }
  return commits;
}

test("the changes add up to git's own list of paths at every commit of random histories", async () => {
  const random = seededRandom();
  for (let round = 0; round < 4; round += 1) {
    await requireSameTrees(makeRepository(randomHistory(random, 60), { bare: round % 2 === 0 }));
  }
});

test("tells authors, dates, parents and subjects as git has them", async () => {
  const directory = makeRepository([
    { changes: [["a", "1"]], author: "Ann <ann@x>", authorDateS: 50, committerDateS: 100, message: "one\ntwo\n\nbody" },
    {
      changes: [["b", "1"]],
      author: " <>",
      authorDateS: 900,
      committerDateS: 90,
      message: Buffer.from("gr\xfcn", "latin1"),
      encoding: "ISO-8859-1",
    },
    { changes: [], parents: [0], message: Buffer.from([0x41, 0xff]) },
    { changes: [["a", "2"]], parents: [1, 0, 2], message: "" },
  ]);
  const [first, second, last] = await readHistory(directory);
  const shown = (commit: GitCommit | undefined) =>
    commit && [commit.authorName, commit.authorEmail, commit.authorDateS, commit.committerDateS, commit.subject];
  assert.equal(shown(first), ["Ann", "ann@x", 50, 100, "one two"]);
  assert.equal(shown(second), ["", "", 900, 90, "grün"]);
  assert.is(last?.subject, "");
  assert.equal(
    last?.parents,
    git(directory, ["rev-parse", "main^1", "main^2", "main^3"]).toString().trim().split("\n"),
  );
  assert.equal(last?.changes, [{ kind: "modified", path: "a" }]);
});

test("is not swayed by the user's configuration, submodule settings or environment", async () => {
  const link = "1".repeat(40);
  const directory = makeRepository([
    {
      changes: [
        ["a/file", "long enough to be taken for a rename\n"],
        ["sub", { gitlink: link }],
      ],
    },
    {
      changes: [
        ["a/file", null],
        ["b/file", "long enough to be taken for a rename\n"],
        ["sub", { gitlink: "2".repeat(40) }],
      ],
    },
    { changes: [["b/other", "x"]], parents: [0] },
    { changes: [["c", "x"]], parents: [1, 2] },
  ]);
  const plain = await requireSameTrees(directory);
  git(directory, ["checkout", "-q", "-f", "main"]);
  writeFileSync(join(directory, ".gitmodules"), '[submodule "sub"]\n\tpath = sub\n\turl = ./sub\n\tignore = all\n');
  writeFileSync(join(directory, ".mailmap"), "Someone Else <else@example.org> <ann@example.org>\n");
  writeFileSync(join(directory, "order"), "c\nb*\n");
  const settings = {
    "color.ui": "always",
    "core.quotePath": "true",
    "diff.external": "false",
    "diff.ignoreSubmodules": "all",
    "diff.noprefix": "true",
    "diff.orderFile": join(directory, "order"),
    "diff.relative": "true",
    "diff.renames": "copies",
    "diff.submodule": "log",
    "format.pretty": "oneline",
    "i18n.logOutputEncoding": "UTF-16",
    "log.date": "relative",
    "log.decorate": "full",
    "log.diffMerges": "off",
    "log.follow": "true",
    "log.mailmap": "true",
    "log.showRoot": "false",
    "log.showSignature": "true",
    "submodule.sub.ignore": "all",
  };
  for (const [key, value] of Object.entries(settings)) git(directory, ["config", key, value]);
  const elsewhere = makeRepository([{ changes: [["elsewhere", "x"]] }]);
  const kept = { ...process.env };
  Object.assign(process.env, {
    GIT_DIR: join(elsewhere, ".git"),
    GIT_WORK_TREE: elsewhere,
    GIT_EXTERNAL_DIFF: "false",
    GIT_PAGER: "false",
  });
  try {
    assert.equal(await readHistory(directory), plain);
    assert.equal(await readHistory(join(directory, "b")), plain);
  } finally {
    for (const name of ["GIT_DIR", "GIT_WORK_TREE", "GIT_EXTERNAL_DIFF", "GIT_PAGER"]) {
      if (kept[name] === undefined) delete process.env[name];
      else process.env[name] = kept[name];
    }
  }
});

test("a shallow clone starts at its boundary, with all of its files", async () => {
  const directory = makeRepository(
    Array.from({ length: 6 }, (_, index) => ({ changes: [[`f${index}`, "x"]] }) satisfies FixtureCommit),
  );
  const clone = join(temporaryDirectory(), "clone");
  git(".", ["clone", "-q", "--depth", "2", `file://${directory}`, clone]);
  const commits = await requireSameTrees(clone);
  assert.equal(
    commits.map((commit) => [commit.parents.length, commit.changes.length]),
    [
      [0, 5],
      [1, 1],
    ],
  );
});

if (gitKnowsSha256()) {
  test("reads a repository with SHA-256 hashes", async () => {
    const history: FixtureCommit[] = [
      {
        changes: [
          ["a", "1"],
          ["b", "1"],
        ],
      },
      { changes: [["a", null]] },
    ];
    const commits = await requireSameTrees(makeRepository(history, { objectFormat: "sha256" }));
    assert.is(commits[1]?.hash.length, 64);
  });
} else {
  test.skip("reads a repository with SHA-256 hashes", "this git cannot make one");
}

test("a root commit with many files is one commit", async () => {
  const changes = Array.from(
    { length: 20_000 },
    (_, index) => [`dir-${index % 100}/sub/file-${index}.txt`, "x"] as const,
  );
  const [commit] = await requireSameTrees(makeRepository([{ changes }]));
  assert.is(commit?.changes.length, 20_000);
});

test("a long history comes in its order, though several processes read it", async () => {
  const count = 1_000;
  const history = Array.from({ length: count }, (_, index): FixtureCommit => {
    // Now and then a large commit, so that the processes do not keep step.
    const width = index % 97 === 0 ? 500 : 1;
    return { changes: Array.from({ length: width }, (_, file) => [`d${index % 7}/${file}`, `${index}`] as const) };
  });
  const directory = makeRepository(history);
  const commits = await readHistory(directory);
  assert.equal(
    commits.map((commit) => commit.hash),
    listChain(directory),
  );
  assert.is(commits.at(-1)?.subject, `commit ${count - 1}`);
});

test("a repository without a commit is an empty history, a broken head is an error", async () => {
  const empty = makeRepository([]);
  assert.equal(await readHistory(empty), []);
  const broken = makeRepository([{ changes: [["a", "1"]] }]);
  writeFileSync(join(broken, ".git/HEAD"), `${"1".repeat(40)}\n`);
  await rejects(openRepository(broken), "ERR_IMPORT_SOURCE");
});

test("a damaged repository is an error, after the commits that can be read", async () => {
  const directory = makeRepository(
    Array.from({ length: 4 }, (_, index) => ({ changes: [[`f${index}`, "x"]] }) satisfies FixtureCommit),
  );
  const tree = git(directory, ["rev-parse", "main~1^{tree}"]).toString().trim();
  // So small an import lies in loose objects (fastimport.unpackLimit).
  rmSync(join(directory, ".git/objects", tree.slice(0, 2), tree.slice(2)));
  const repository = await openRepository(directory);
  const seen: GitCommit[] = [];
  const error = await rejects(async () => {
    for await (const some of readCommits(repository, await readChain(repository))) seen.push(...some);
  }, "ERR_IMPORT_SOURCE");
  assert.match(error.message, tree);
  assert.ok(seen.length < 3);
});

test("a directory that is no repository is an error that says so", async () => {
  const directory = temporaryDirectory();
  process.env["GIT_CEILING_DIRECTORIES"] = join(directory, "..");
  try {
    for (const path of [directory, join(directory, "missing")]) {
      const error = await rejects(openRepository(path), "ERR_IMPORT_SOURCE");
      assert.match(error.message, path);
      assert.not.match(error.message, "\n");
    }
  } finally {
    delete process.env["GIT_CEILING_DIRECTORIES"];
  }
});

test("a machine without git is an error that says so", async () => {
  const path = process.env["PATH"];
  process.env["PATH"] = temporaryDirectory();
  try {
    assert.is(await hasGit(), false);
    const error = await rejects(openRepository("."), "ERR_IMPORT_SOURCE");
    assert.match(error.message, "git is not installed");
  } finally {
    process.env["PATH"] = path;
  }
  assert.is(await hasGit(), true);
});

test("a repository is named after its own directory", async () => {
  const parent = temporaryDirectory();
  const history: FixtureCommit[] = [{ changes: [["deep/er/file", "1"]] }];
  const work = makeRepository(history, { directory: join(parent, "work") });
  makeRepository(history, { directory: join(parent, "bare.git"), bare: true });
  git(work, ["checkout", "-q", "-f", "main"]);
  git(work, ["worktree", "add", "-q", "--detach", join(parent, "linked"), "main"]);
  mkdirSync(join(work, "deep/not-tracked"));
  const names = [
    ["work", "work"],
    ["work/.git", "work"],
    ["work/deep/not-tracked", "work"],
    ["bare.git", "bare"],
    ["linked", "linked"],
  ] as const;
  for (const [path, name] of names) assert.is((await openRepository(join(parent, path))).name, name);
  assert.is(basename(work), "work");
});

test("leaving the loop ends git", async () => {
  const changes = Array.from({ length: 3_000 }, (_, index) => [`d/${index}`, "x"] as const);
  const directory = makeRepository([
    { changes },
    ...Array.from({ length: 300 }, (_, index) => ({ changes: [[`d/${index}`, `${index}`]] }) satisfies FixtureCommit),
  ]);
  addCommits(directory, [{ changes: [["last", "1"]] }]);
  const repository = await openRepository(directory);
  for await (const some of readCommits(repository, await readChain(repository))) {
    assert.ok(some.length > 0);
    break;
  }
});
