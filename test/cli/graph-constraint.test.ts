import { join } from "node:path";
import { openStore } from "../../src/index.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/graph constraint");

async function storeOfTwo(): Promise<string> {
  const directory = join(temporaryDirectory(), "store");
  await using store = await openStore(directory);
  const graph = await store.graph();
  const provenance = { actor: "ann", source: "crm", transactionId: "t-1", note: "first" };
  await graph.createNode({ label: "Person", properties: { email: "a" }, validFrom: 0, provenance });
  await graph.createNode({ label: "Person", properties: { email: "b" }, validFrom: 0 });
  return directory;
}

test("adds, lists and removes a constraint, and names who breaks one", async () => {
  const store = await storeOfTwo();
  const constraint = (...parameters: string[]) => ["graph", "constraint", ...parameters, "--store", store];
  const [added] = await runJson(constraint("add", "unique", "Person", "email", "--actor", "bo"));
  assert.equal([added?.["kind"], added?.["label"], added?.["property"]], ["unique", "Person", "email"]);
  assert.equal(await runJson(constraint("list")), [added]);
  assert.match((await runCli(constraint("list"))).stdout, /Person\.email {2}unique {2}added by LSN \d+/);
  const again = await runFailing(constraint("add", "unique", "Person", "email"));
  assert.is(again.code, "ERR_GRAPH_CONSTRAINT_EXISTS");
  const broken = await runFailing(constraint("add", "required", "Person", "name"));
  assert.equal(
    [broken.code, (broken["details"] as { offenders: string }).offenders],
    ["ERR_GRAPH_REQUIRED_PROPERTY", "1, 2"],
  );
  await runJson(constraint("remove", "unique", "Person", "email"));
  assert.equal(await runJson(constraint("list")), []);
  assert.is(
    (await runFailing(constraint("remove", "unique", "Person", "email"))).code,
    "ERR_GRAPH_CONSTRAINT_NOT_FOUND",
  );
  assert.is((await runFailing(constraint("add", "some", "Person", "email"))).code, "ERR_USAGE");
  assert.is((await runFailing(constraint("add", "unique", "", "email"))).code, "ERR_USAGE");
});

test("several properties together, and properties of edges", async () => {
  const store = await storeOfTwo();
  const constraint = (...parameters: string[]) => ["graph", "constraint", ...parameters, "--store", store];
  const [added] = await runJson(constraint("add", "unique", "Person", "tenant", "email"));
  assert.equal(added?.["property"], ["email", "tenant"]);
  const [ofEdges] = await runJson(constraint("add", "required", "KNOWS", "since", "--edges"));
  assert.equal(await runJson(constraint("list")), [added, ofEdges]);
  assert.match((await runCli(constraint("list"))).stdout, /Person\.\(email, tenant\) {2}unique {2}added/);
  const create = ["graph", "create", "edge", "--label", "KNOWS", "--from", "1", "--to", "2", "--store", store];
  assert.is((await runFailing(create)).code, "ERR_GRAPH_REQUIRED_PROPERTY");
  for (const wrong of [
    ["required", "Person", "a", "b"],
    ["unique", "Person", "a", "a"],
    ["unique", "Person", ..."abcdefghi"],
    ["unique", "Person"],
  ])
    assert.is((await runFailing(constraint("add", ...wrong))).code, "ERR_USAGE", wrong.join(" "));
  await runJson(constraint("remove", "unique", "Person", "email", "tenant"));
  await runJson(constraint("remove", "required", "KNOWS", "since", "--edges"));
  assert.equal(await runJson(constraint("list")), []);
});

test("history shows where a version comes from when it is asked to, and lineage does", async () => {
  const store = await storeOfTwo();
  const history = ["graph", "history", "--store", store, "--id", "1"];
  const provenance = { transactionId: "t-1", source: "crm", actor: "ann", note: "first" };
  const [version] = await runJson([...history, "--provenance"]);
  assert.equal(version?.["provenance"], provenance);
  assert.not.ok("provenance" in ((await runJson(history))[0] ?? {}));
  assert.match((await runCli([...history, "--provenance"])).stdout, '"actor":"ann"');
  const [lineage] = await runJson(["graph", "lineage", "--store", store, "--id", "1"]);
  assert.equal(lineage?.["provenance"], provenance);
  const [other] = await runJson(["graph", "lineage", "--store", store, "--id", "2"]);
  assert.is(other?.["provenance"], null);
});
