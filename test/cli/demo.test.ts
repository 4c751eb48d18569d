import { readdirSync } from "node:fs";
import { join } from "node:path";
import { makeDemoHistory } from "../../src/cli/demo-history.js";
import { assert } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { listChain, makeRepository, randomHistory } from "./support/git-fixture.js";
import { runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/demo");

test("imports the repository it stands in, and gives the same answers after reopening", async () => {
  const repository = makeRepository(randomHistory(seededRandom(), 40));
  const [shown = {}] = await runJson(["demo"], { cwd: repository });
  assert.is(shown["repository"], "fixture");
  assert.is(shown["commits"], listChain(repository).length);
  const { same, answers } = shown["reopened"] as { same: boolean; answers: unknown };
  assert.is(same, true);
  assert.equal(answers, shown["answers"]);
});

test("twice in a row it shows the same, and leaves nothing behind", async () => {
  const cwd = temporaryDirectory();
  const environment = { GIT_CEILING_DIRECTORIES: join(cwd, ".."), TMPDIR: temporaryDirectory() };
  const runs = [await runCli(["demo"], { cwd, environment }), await runCli(["demo"], { cwd, environment })];
  const [first, second] = runs.map(({ exitCode, stdout, stderr }) => {
    assert.is(exitCode, 0, stderr);
    assert.is(stderr, "");
    assert.match(stdout, "a bundled history");
    assert.match(stdout, "the same three answers");
    return stdout.slice(stdout.indexOf("1. Which files"), stdout.indexOf("Closed, reopened"));
  });
  assert.is(first, second);
  assert.equal([readdirSync(cwd), readdirSync(environment.TMPDIR)], [[], []]);
});

test("an empty repository, and a machine without git, get the bundled history", async () => {
  const [empty] = await runJson(["demo"], { cwd: makeRepository([]) });
  assert.equal([empty?.["repository"], empty?.["stream"]], [null, "git-demo"]);
  const [without] = await runJson(["demo"], { environment: { PATH: temporaryDirectory() } });
  assert.equal([without?.["repository"], without?.["events"]], [null, empty?.["events"]]);
});

test("keeps the store that it is given, and can be run on it again", async () => {
  const repository = makeRepository([{ changes: [["only", "1"]] }]);
  const store = join(temporaryDirectory(), "store");
  const [first] = await runJson(["demo", "--store", store], { cwd: repository });
  assert.is(first?.["commits"], 1);
  const files = await runJson(["graph", "find", "--label", "File", "--store", store]);
  assert.is(files.length, 1);
  const [second] = await runJson(["demo", "--store", store], { cwd: repository });
  assert.is(second?.["commits"], 0);
  assert.equal(second?.["answers"], first?.["answers"]);
  const other = makeRepository([{ changes: [["other", "1"]] }]);
  assert.is((await runFailing(["demo", "--store", store], { cwd: other })).code, "ERR_IMPORT_DIVERGED");
});

test("the bundled history is the same every time, and a history that could be", () => {
  const commits = makeDemoHistory();
  assert.equal(makeDemoHistory(), commits);
  const paths = new Set<string>();
  for (const [index, { hash, parents, changes, committerDateS }] of commits.entries()) {
    assert.match(hash, /^[0-9a-f]{40}$/);
    assert.equal(parents, index === 0 ? [] : [commits[index - 1]?.hash]);
    assert.ok((committerDateS ?? 0) >= (commits[index - 1]?.committerDateS ?? 0));
    for (const { kind, path } of changes) {
      assert.is(paths.has(path), kind !== "added");
      if (kind === "removed") paths.delete(path);
      else paths.add(path);
    }
  }
  assert.ok(commits.some(({ changes }) => changes.some(({ kind }) => kind === "removed")));
});
