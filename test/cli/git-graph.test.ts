import { GitGraph, type GitGraphEvent, idsNeeded } from "../../src/cli/git-graph.js";
import { openRepository, readChain, readCommits } from "../../src/cli/git-history.js";
import type { GitCommit } from "../../src/cli/git-log-parser.js";
import { decodeGitPath } from "../../src/cli/git-path.js";
import { assert, rejects } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { countingIds } from "./support/counting-ids.js";
import { listTree, makeRepository, randomHistory } from "./support/git-fixture.js";
import { GraphOracle } from "./support/graph-oracle.js";

const test = suite("cli/git-graph");

const BASE: GitCommit = {
  hash: "00",
  parents: [],
  authorName: "Ann",
  authorEmail: "ann@x",
  authorDateS: 100,
  committerDateS: 100,
  subject: "subject",
  changes: [],
};

function plan(commits: readonly Partial<GitCommit>[]): GitGraphEvent[][] {
  const graph = new GitGraph();
  const ids = countingIds();
  return commits.map((commit, index) => graph.plan({ ...BASE, hash: String(index).padStart(2, "0"), ...commit }, ids));
}

function oracleOf(events: readonly GitGraphEvent[]): GraphOracle {
  const oracle = new GraphOracle();
  for (const event of events) oracle.apply(event);
  return oracle;
}

function fold(events: readonly GitGraphEvent[]): GitGraph {
  const graph = new GitGraph();
  for (const [index, event] of events.entries()) graph.fold({ ...event, stream: "git-x", version: index + 1 });
  return graph;
}

async function readFixture(directory: string): Promise<GitCommit[]> {
  const repository = await openRepository(directory);
  const commits: GitCommit[] = [];
  for await (const some of readCommits(repository, await readChain(repository))) commits.push(...some);
  return commits;
}

test("says what the first commit of a file is", () => {
  const [events] = plan([{ authorDateS: 40, changes: [{ kind: "added", path: "a" }] }]);
  const validFrom = 100_000_000;
  assert.equal(events, [
    {
      type: "varve.v1.NodeCreated",
      data: { id: 1, label: "Commit", properties: { hash: "00", subject: "subject" }, validFrom },
      metadata: { commit: "00" },
    },
    {
      type: "varve.v1.NodeCreated",
      data: { id: 2, label: "Person", properties: { email: "ann@x", name: "Ann" }, validFrom },
    },
    {
      type: "varve.v1.EdgeCreated",
      data: { id: 1, label: "AUTHORED", source: 2, target: 1, validFrom: 40_000_000 },
    },
    { type: "varve.v1.NodeCreated", data: { id: 3, label: "File", properties: { path: "a" }, validFrom } },
    {
      type: "varve.v1.EdgeCreated",
      data: { id: 2, label: "TOUCHED", source: 1, target: 3, validFrom },
    },
    {
      type: "varve.v1.EdgeCreated",
      data: { id: 3, label: "LAST_CHANGED_BY", source: 3, target: 2, properties: { commit: "00" }, validFrom },
    },
  ]);
});

test("splits LAST_CHANGED_BY when someone else changes the file, and patches it when the same person does", () => {
  const changes = [{ kind: "modified", path: "a" }] as const;
  const bo = { authorName: "Bo", authorEmail: "bo@x" };
  const plans = plan([
    { changes: [{ kind: "added", path: "a" }] },
    { committerDateS: 200, changes },
    { committerDateS: 300, changes, ...bo },
    { committerDateS: 300, changes },
  ]);
  const oracle = oracleOf(plans.flat());
  const seen = (seconds: number) =>
    oracle.find("edges", "LAST_CHANGED_BY", seconds * 1e6).map(({ entity, properties }) => [entity.target, properties]);
  assert.equal([99, 100, 199, 200, 299, 300].map(seen), [
    [],
    [[2, { commit: "00" }]],
    [[2, { commit: "00" }]],
    [[2, { commit: "01" }]],
    [[2, { commit: "01" }]],
    [[2, { commit: "03" }]],
  ]);
  assert.equal(
    plans[2]?.map((event) => event.type.slice("varve.v1.".length)),
    ["NodeCreated", "NodeCreated", "EdgeCreated", "EdgeCreated", "EdgeDeleted", "EdgeCreated"],
  );
});

test("a removed file takes its edges along, and comes back as the same node", () => {
  const plans = plan([
    { changes: [{ kind: "added", path: "a" }] },
    { committerDateS: 200, changes: [{ kind: "removed", path: "a" }] },
    { committerDateS: 200, changes: [{ kind: "added", path: "a" }] },
    { committerDateS: 200, changes: [{ kind: "removed", path: "a" }] },
    { committerDateS: 300, changes: [{ kind: "added", path: "a" }] },
  ]);
  const oracle = oracleOf(plans.flat());
  const fileIds = (seconds: number) => oracle.find("nodes", "File", seconds * 1e6).map(({ entity }) => entity.id);
  assert.equal([100, 199, 200, 299, 300].map(fileIds), [[3], [3], [], [], [3]]);
  assert.equal(
    oracle.find("edges", "TOUCHED", 300e6).map(({ entity }) => hashOf(oracle, entity.source)),
    ["04"],
  );
});

function hashOf(oracle: GraphOracle, commitId: number): string | undefined {
  return oracle.nodes.get(commitId)?.assertions[0]?.properties?.["hash"];
}

test("a changed name is an update of the one person with that email", () => {
  const plans = plan([
    {},
    { authorName: "Ann B.", committerDateS: 200 },
    { authorName: "Ann B.", committerDateS: 300 },
    { authorName: "", authorEmail: "" },
  ]);
  const oracle = oracleOf(plans.flat());
  const people = (seconds: number) => oracle.find("nodes", "Person", seconds * 1e6).map(({ properties }) => properties);
  assert.equal(people(199), [{ email: "ann@x", name: "Ann" }]);
  assert.equal(people(300), [
    { email: "ann@x", name: "Ann B." },
    { email: "", name: "" },
  ]);
  assert.is(plans[2]?.length, 2);
});

test("time never runs backwards, and dates that are no dates do no harm", () => {
  const dates = [null, 500, 100, null, -7, 2 ** 64, 600];
  const plans = plan(dates.map((date) => ({ committerDateS: date, authorDateS: date })));
  const safeMax = 9_007_199_254_000_000;
  assert.equal(
    plans.map((events) => events[0]?.data.validFrom),
    [0, 500e6, 500e6, 500e6, 500e6, safeMax, safeMax],
  );
  assert.equal(
    plans.map((events) => events.find((event) => event.data.label === "AUTHORED")?.data.validFrom),
    [0, 500e6, 100e6, 500e6, -7e6, safeMax, 600e6],
  );
  oracleOf(plans.flat());
});

test("PARENT leads to the parents that are in the chain, once to each", () => {
  const plans = plan([{}, { parents: ["00"] }, { parents: ["01", "ff", "00", "01"] }]);
  const parents = plans.map((events) =>
    events.filter((event) => event.data.label === "PARENT").map((event) => [event.data.source, event.data.target]),
  );
  assert.equal(parents, [
    [],
    [[3, 1]],
    [
      [4, 3],
      [4, 1],
    ],
  ]);
});

test("a path that a broken tree lists twice is one file", () => {
  const twice = (kind: "added" | "removed") => [
    { kind, path: "a" },
    { kind, path: "a" },
  ];
  const oracle = oracleOf(
    plan([
      { changes: twice("added") },
      { changes: twice("removed") },
      { changes: [{ kind: "modified", path: "a" }] },
    ]).flat(),
  );
  assert.is(oracle.find("nodes", "File", 100e6).length, 1);
});

test("cuts a subject that is no subject, between characters", () => {
  const [events] = plan([{ subject: `x${"😀".repeat(10_000)}` }]);
  const subject = events?.[0]?.data.properties?.["subject"] ?? "";
  assert.is(subject.length, 8_192);
  assert.ok(subject.endsWith("😀…"));
});

test("names such as __proto__ are data", () => {
  const changes = ["__proto__", "constructor"].map((path) => ({ kind: "added", path }) as const);
  const person = { authorName: "__proto__", authorEmail: "__proto__" };
  const oracle = oracleOf(
    plan([
      { changes, ...person },
      { ...person, changes: [{ kind: "removed", path: "__proto__" }] },
    ]).flat(),
  );
  assert.equal(
    oracle.find("nodes", "File", 100e6).map(({ properties }) => properties["path"]),
    ["constructor"],
  );
  assert.is(oracle.find("nodes", "Person", 100e6)[0]?.properties["email"], "__proto__");
});

test("at every commit of random histories the graph holds git's own paths, and who changed them last", async () => {
  const random = seededRandom();
  for (let round = 0; round < 3; round += 1) {
    const directory = makeRepository(randomHistory(random, 60));
    const commits = await readFixture(directory);
    const graph = new GitGraph();
    const ids = countingIds();
    const oracle = new GraphOracle();
    const lastChange = new Map<string, string>();
    for (const [index, commit] of commits.entries()) {
      const before = { ...ids.used };
      for (const event of graph.plan(commit, ids)) oracle.apply(event);
      assert.ok(ids.used.nodes - before.nodes <= idsNeeded(commit).nodes);
      assert.ok(ids.used.edges - before.edges <= idsNeeded(commit).edges);
      for (const { path } of commit.changes) lastChange.set(path, `${commit.authorEmail} ${commit.hash}`);
      const atUs = Math.max(...commits.slice(0, index + 1).map(({ committerDateS }) => committerDateS ?? 0)) * 1e6;
      assert.is(graph.atUs, atUs);

      const files = oracle
        .find("nodes", "File", atUs)
        .map(({ entity, properties }) => [entity.id, properties["path"] ?? ""] as const);
      const expected = listTree(directory, commit.hash).map(decodeGitPath).sort();
      assert.equal(files.map(([, path]) => path).sort(), expected, commit.hash);
      const changed = new Map(
        oracle.find("edges", "LAST_CHANGED_BY", atUs).map(({ entity, properties }) => {
          const email = oracle.nodes.get(entity.target)?.assertions[0]?.properties?.["email"];
          return [entity.source, `${email} ${properties["commit"]}`];
        }),
      );
      assert.is(changed.size, files.length);
      for (const [id, path] of files) assert.is(changed.get(id), lastChange.get(path), path);
    }
  }
});

test("an import that is resumed anywhere plans what it would have planned without the pause", async () => {
  const commits = await readFixture(makeRepository(randomHistory(seededRandom(), 40)));
  const whole = new GitGraph();
  const ids = countingIds();
  const plans = commits.map((commit) => ({ events: whole.plan(commit, ids), used: { ...ids.used } }));
  for (let pause = 0; pause < commits.length; pause += 1) {
    const resumed = fold(plans.slice(0, pause).flatMap(({ events }) => events));
    assert.is(resumed.lastCommit, commits[pause - 1]?.hash ?? null);
    assert.is(resumed.firstCommit, pause === 0 ? null : commits[0]?.hash);
    assert.is(resumed.commitCount, pause);
    const rest = countingIds();
    Object.assign(rest.used, plans[pause - 1]?.used);
    for (const [index, commit] of commits.entries()) {
      if (index >= pause) assert.equal(resumed.plan(commit, rest), plans[index]?.events);
    }
  }
});

test("refuses to fold what it did not write", async () => {
  const created = (data: object) => ({ type: "varve.v1.NodeCreated", data, stream: "git-x", version: 7 });
  for (const event of [
    { type: "Deposited", data: {}, stream: "git-x", version: 7 },
    created({ id: 1, label: "Commit", validFrom: 1 }),
    created({ id: 1, label: "Account", properties: { hash: "00" }, validFrom: 1 }),
    { type: "varve.v1.NodeDeleted", data: { id: 1, validFrom: 1 }, stream: "git-x", version: 7 },
    {
      type: "varve.v1.NodePatched",
      data: { id: 1, properties: { name: "x" }, validFrom: 1 },
      stream: "git-x",
      version: 7,
    },
  ]) {
    const error = await rejects(() => new GitGraph().fold(event), "ERR_IMPORT_DIVERGED");
    assert.match(error.message, "version 7");
  }
});
