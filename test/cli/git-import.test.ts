import { existsSync } from "node:fs";
import { join } from "node:path";
import { streamOfRepository } from "../../src/cli/git-import.js";
import { decodeGitPath } from "../../src/cli/git-path.js";
import { type Graph, openReader, openStore } from "../../src/index.js";
import { assert } from "../support/assert.js";
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
import { type JsonObject, runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/git-import");
const random = seededRandom();

const newStore = () => join(temporaryDirectory(), "store");

function linearHistory(count: number, filesPerCommit = 1): FixtureCommit[] {
  return Array.from({ length: count }, (_, index) => ({
    changes: Array.from({ length: filesPerCommit }, (_, file) => [
      `d${file % 5}/f${(index * 7 + file) % 50}`,
      `${index}`,
    ]),
  }));
}

async function importInto(store: string, repository: string, ...more: string[]): Promise<JsonObject> {
  const [result] = await runJson(["import", "git", repository, "--store", store, ...more]);
  return result ?? {};
}

async function withGraph<Result>(store: string, work: (graph: Graph) => Result): Promise<Result> {
  const reader = await openReader(store);
  try {
    return work(await reader.graph());
  } finally {
    await reader.close();
  }
}

interface Moment {
  readonly commit: string;
  readonly atUs: number;
}

/** What git itself says of the chain's commits, oldest first: hash, committer date, author's email. */
function describeChain(repository: string): string[][] {
  const text = git(repository, ["log", "--first-parent", "--reverse", "--format=%H%x09%ct%x09%ae"]).toString();
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => line.split("\t"));
}

/** Each commit with its valid time; of those that share one, the last. */
function momentsOf(repository: string): Moment[] {
  const moments = new Map<number, Moment>();
  let atUs = Number.NEGATIVE_INFINITY;
  for (const [commit = "", committerDateS = ""] of describeChain(repository)) {
    atUs = Math.max(atUs, Number(committerDateS) * 1e6);
    moments.set(atUs, { commit, atUs });
  }
  return [...moments.values()];
}

const pathsIn = (repository: string, commit: string) => listTree(repository, commit).map(decodeGitPath).sort();

/** Requires that at every commit the graph lists the files that git lists, each with one last change. */
async function requireSameFiles(store: string, repository: string): Promise<void> {
  const moments = momentsOf(repository);
  const emails = new Map(describeChain(repository).map(([commit, , email]) => [commit, email]));
  await withGraph(store, (graph) => {
    assert.is(graph.rejectedCount, 0);
    for (const { commit, atUs } of moments) {
      const view = graph.asOf({ validAt: atUs });
      const files = [...view.find({ label: "File" })];
      assert.equal(files.map(({ properties }) => properties["path"]).sort(), pathsIn(repository, commit), commit);
      for (const file of files) {
        const changes = [...view.edges(file.id, { direction: "out", label: "LAST_CHANGED_BY" })];
        assert.is(changes.length, 1);
        const [change] = changes;
        const [person] = view.neighbors(file.id, { direction: "out", label: "LAST_CHANGED_BY" });
        const commit = String(change?.properties["commit"]);
        assert.is(person?.properties["email"], emails.get(commit));
      }
    }
  });
}

async function watermarkOf(store: string): Promise<number> {
  const reader = await openReader(store);
  try {
    return reader.watermark;
  } finally {
    await reader.close();
  }
}

test("at every commit of a random history the store lists git's own files, and who changed each last", async () => {
  const repository = makeRepository(randomHistory(random, 30));
  const store = newStore();
  const result = await importInto(store, repository);
  assert.is(result["commits"], listChain(repository).length);
  assert.is(result["stream"], "git-fixture");
  assert.is(result["resumedFrom"], null);
  assert.ok(Number(result["eventsPerSecond"]) > 0 && Number(result["seconds"]) > 0);
  await requireSameFiles(store, repository);

  for (const { commit, atUs } of momentsOf(repository).filter((_, index) => index % 10 === 3)) {
    const nodes = await runJson(["graph", "find", "--label", "File", "--valid", String(atUs), "--store", store]);
    const paths = nodes.map((node) => (node["properties"] as { path: string }).path).sort();
    assert.equal(paths, pathsIn(repository, commit));
    for (const node of nodes) {
      assert.equal(Object.keys(node), [
        "id",
        "label",
        "properties",
        "validFrom",
        "validTo",
        "recordedFrom",
        "recordedTo",
      ]);
      assert.is(node["label"], "File");
    }
  }
});

test("run again, it appends nothing; run after new commits, it appends those", async () => {
  const repository = makeRepository(randomHistory(random, 15), { bare: true });
  const store = newStore();
  const first = await importInto(store, repository);
  const lsn = await watermarkOf(store);
  const again = await importInto(store, repository);
  assert.equal([again["commits"], again["events"], again["lsn"]], [0, 0, first["lsn"]]);
  assert.is(again["resumedFrom"], listChain(repository).at(-1));
  assert.is(await watermarkOf(store), lsn);

  addCommits(repository, randomHistory(random, 10));
  const more = await importInto(store, repository);
  assert.is(Number(first["commits"]) + Number(more["commits"]), listChain(repository).length);
  assert.ok(Number(more["commits"]) > 0);
  await requireSameFiles(store, repository);
});

test("each commit is one append of its own, whose first event names it", async () => {
  const repository = makeRepository(linearHistory(5, 3));
  const store = newStore();
  await importInto(store, repository);
  const events = await runJson(["read", "--stream", "git-fixture", "--store", store]);
  const named = events.flatMap((event) => (event["metadata"] as { commit?: string }).commit ?? []);
  assert.equal(named, listChain(repository));
  assert.equal(
    events.map((event) => event["version"]),
    events.map((_, index) => index + 1),
  );
});

test("a rewritten history, or another one under the same name, is refused and nothing is written", async () => {
  const repository = makeRepository(linearHistory(6));
  const store = newStore();
  await importInto(store, repository);
  const lsn = await watermarkOf(store);
  const head = git(repository, ["rev-parse", "main"]).toString().trim();
  const refuse = async (directory: string, ...more: string[]): Promise<void> => {
    const failure = await runFailing(["import", "git", directory, "--store", store, ...more]);
    assert.is(failure.code, "ERR_IMPORT_DIVERGED");
    assert.is((failure["details"] as { lastCommit: string }).lastCommit, head);
    assert.is(await watermarkOf(store), lsn);
  };
  git(repository, ["update-ref", "refs/heads/main", "main~2"]);
  await refuse(repository);
  addCommits(repository, [{ changes: [["other", "1"]] }]);
  await refuse(repository);
  await refuse(makeRepository(linearHistory(9, 2)));
  await refuse(makeRepository([]));

  // The same last commit, but reached from another root.
  git(repository, ["update-ref", "refs/heads/main", head]);
  const clone = join(temporaryDirectory(), "fixture");
  git(".", ["clone", "-q", "--depth", "2", `file://${repository}`, clone]);
  await refuse(clone);
  assert.is((await importInto(store, repository))["commits"], 0);
});

test("a stream that holds something else is refused", async () => {
  const store = newStore();
  await runJson(["append", "--store", store, "--stream", "git-fixture", "--type", "Mine"]);
  const failure = await runFailing(["import", "git", makeRepository(linearHistory(2)), "--store", store]);
  assert.is(failure.code, "ERR_IMPORT_DIVERGED");
  assert.match(failure.message, "Mine");
});

test("a repository without a commit is an import of nothing", async () => {
  const result = await importInto(newStore(), makeRepository([]));
  assert.equal([result["commits"], result["events"], result["lsn"], result["resumedFrom"]], [0, 0, 0, null]);
});

test("several repositories live in one store, each under its name", async () => {
  const store = newStore();
  const [one, two] = [makeRepository(randomHistory(random, 8)), makeRepository(randomHistory(random, 8))];
  await importInto(store, one, "--name", "first one/ü");
  await importInto(store, two, "--name", "second");
  const { tailStreams } = (await runJson(["stats", "--store", store]))[0] ?? {};
  assert.ok(Number(tailStreams) >= 2);
  await withGraph(store, (graph) => {
    assert.is(graph.rejectedCount, 0);
    assert.is([...graph.asOf().find({ label: "Commit" })].length, listChain(one).length + listChain(two).length);
  });
  assert.is((await importInto(store, one, "--name", "first one/ü"))["stream"], "git-first-one-ü");
});

test("what cannot be read leaves no store behind", async () => {
  const store = newStore();
  const environment = { GIT_CEILING_DIRECTORIES: join(store, "../..") };
  for (const path of [join(store, ".."), join(store, "missing")]) {
    const failure = await runFailing(["import", "git", path, "--store", store], { environment });
    assert.is(failure.code, "ERR_IMPORT_SOURCE");
  }
  assert.not.ok(existsSync(store));
});

test("a commit that is too large for one append is named, and everything before it is in", async () => {
  const folder = "a-rather-long-name-of-a-folder-".repeat(6);
  const changes = Array.from({ length: 90_000 }, (_, index) => [`${folder}${index % 90}/file-${index}`, "x"] as const);
  const repository = makeRepository([...linearHistory(5), { changes }]);
  const store = newStore();
  const failure = await runFailing(["import", "git", repository, "--store", store]);
  assert.is(failure.code, "ERR_WAL_TOO_LARGE");
  assert.match(failure.message, listChain(repository)[5] ?? "");
  await withGraph(store, (graph) => {
    assert.is([...graph.asOf().find({ label: "Commit" })].length, 5);
  });
});

if (gitKnowsSha256()) {
  test("imports a repository with SHA-256 hashes", async () => {
    const repository = makeRepository(linearHistory(4, 2), { objectFormat: "sha256" });
    const store = newStore();
    await importInto(store, repository);
    await requireSameFiles(store, repository);
  });
} else {
  test.skip("imports a repository with SHA-256 hashes", "this git cannot make one");
}

test(
  "killed at any moment, it goes on where it was",
  async () => {
    const repository = makeRepository(linearHistory(1_500, 4));
    const store = newStore();
    let kills = 0;
    for (let round = 0; round < 12; round += 1) {
      const delayMs = 150 + random.integer(250);
      const run = await runCli(["import", "git", repository, "--store", store], {
        onStart: (child) => {
          setTimeout(() => child.kill("SIGKILL"), delayMs);
        },
      });
      if (run.signal !== "SIGKILL") break;
      kills += 1;
    }
    assert.ok(kills > 0, "it was never killed");
    await importInto(store, repository);

    const whole = newStore();
    await importInto(whole, repository);
    assert.is(await streamVersion(store), await streamVersion(whole));
    const last = momentsOf(repository).filter((_, index) => index % 300 === 299);
    await withGraph(store, (graph) => {
      assert.is(graph.rejectedCount, 0);
      for (const { commit, atUs } of last) {
        const files = [...graph.asOf({ validAt: atUs }).find({ label: "File" })];
        assert.equal(files.map(({ properties }) => properties["path"]).sort(), pathsIn(repository, commit));
      }
    });
  },
  { timeoutMs: 120_000 },
);

async function streamVersion(store: string): Promise<number> {
  const reader = await openReader(store);
  try {
    return await reader.streamVersion("git-fixture");
  } finally {
    await reader.close();
  }
}

test("interrupted by Ctrl-C, it ends with exit code 130 and a store that is closed, and goes on later", async () => {
  const repository = makeRepository(linearHistory(4_000, 4));
  const store = newStore();
  const run = await runCli(["import", "git", repository, "--store", store, "--json"], {
    onStart: (child) => {
      const signalWhenBusy = setInterval(() => {
        if (!existsSync(join(store, "wal"))) return;
        clearInterval(signalWhenBusy);
        // As a terminal does it: to the whole group, git included.
        if (child.pid !== undefined) process.kill(-child.pid, "SIGINT");
      }, 5);
    },
  });
  assert.is(run.exitCode, 130, run.stderr);
  const { commits, interrupted } = JSON.parse(run.stdout) as { commits: number; interrupted: boolean };
  assert.ok(interrupted && commits < 4_000);
  // A store that was closed ends with a seal.
  const store2 = await openStore(store);
  assert.is(store2.recovery.rewrittenRecords, 0);
  await store2.close();
  const rest = await importInto(store, repository);
  assert.is(commits + Number(rest["commits"]), 4_000);
});

test("a name becomes a stream name that is easy to type", () => {
  const names = ["varve", "my repo", "a/b\\c", "日本-ü.v1_2", "\ud800", "", "***", "__proto__"];
  assert.equal(names.map(streamOfRepository), [
    "git-varve",
    "git-my-repo",
    "git-a-b-c",
    "git-日本-ü.v1_2",
    "git--",
    "git-repository",
    "git--",
    "git-__proto__",
  ]);
});
