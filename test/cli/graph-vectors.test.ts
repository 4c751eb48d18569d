import { join } from "node:path";
import { openStore } from "../../src/index.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { type JsonObject, runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/graph vectors");

const REFERENCE = ["--label", "Note", "--property", "embedding"];

/** Three notes; the third mentions the second. At 10 the first becomes what the second is. */
async function makeStore(): Promise<string> {
  const directory = join(temporaryDirectory(), "store");
  await using store = await openStore(directory);
  const graph = await store.graph();
  const define = ["graph", "vectors", "define", ...REFERENCE, "--dimensions", "2", "--metric", "l2"];
  const [defined = {}] = await runJson([...define, "--store", directory]);
  assert.equal([defined["metric"], defined["storage"], defined["definedBy"]], ["l2", "f32", 1]);
  await graph.whenApplied(1);
  const note = async (n: number, ...embedding: number[]): Promise<number> => {
    const properties = { n, embedding: Float32Array.from(embedding) };
    return (await graph.createNode({ label: "Note", properties, validFrom: 0 })).id;
  };
  const [first, second, third] = [await note(1, 0, 0), await note(5, 3, 4), await note(5, 6, 8)];
  await graph.createEdge({ label: "MENTIONS", source: third, target: second, validFrom: 0 });
  await graph.patchNode(first, { embedding: Float32Array.of(3, 4) }, { validFrom: 10 });
  return directory;
}

const near = (nodes: readonly JsonObject[]) => nodes.map(({ id, distance }) => [id, distance]);

test("lists the nearest at a point, among nodes with a property, and of those that a walk reaches", async () => {
  const store = await makeStore();
  const ask = async (...parameters: string[]) =>
    near(await runJson(["graph", "nearest", ...REFERENCE, "--store", store, ...parameters]));
  const early = ["--valid", "5"];
  assert.equal(await ask("--vector", "[0,0]", ...early), [
    [1, 0],
    [2, 5],
    [3, 10],
  ]);
  assert.equal(await ask("--vector", "[0,0]"), [
    [1, 5],
    [2, 5],
    [3, 10],
  ]);
  assert.equal(await ask("--like", "2", "--limit", "2"), [
    [1, 0],
    [2, 0],
  ]);
  assert.equal(await ask("--vector", "[0,0]", "--where", "n=5", ...early), [
    [2, 5],
    [3, 10],
  ]);
  assert.equal(await ask("--vector", "[0,0]", "--from", "3", "--within", "1"), [[2, 5]]);
  assert.equal(await ask("--vector", "[0,0]", "--from", "3", "--within", "1", "--direction", "in"), []);
  assert.equal(await ask("--vector", "[0,0]", "--recorded", "lsn:0"), []);
  const text = await runCli(["graph", "nearest", ...REFERENCE, "--like", "3", "--limit", "1", "--store", store]);
  assert.match(text.stdout, /^0\.000000 {2}Note 3 {2}\{"n":5,"embedding":\[6,8\]\}/);
});

test("a vector is a JSON array wherever a node is printed", async () => {
  const store = await makeStore();
  const [node = {}] = await runJson(["graph", "node", "--id", "2", "--store", store]);
  assert.equal(node["properties"], { n: 5, embedding: [3, 4] });
  for (const format of ["dot", "graphml", "csv"]) {
    const { exitCode, stdout } = await runCli(["graph", "export", "--format", format, "--store", store]);
    assert.is(exitCode, 0);
    assert.match(stdout, /\[3,4\]/, format);
  }
});

test("what cannot be asked or defined is refused by its code", async () => {
  const store = await makeStore();
  const codeOf = async (...parameters: string[]) => (await runFailing(["graph", ...parameters, "--store", store])).code;
  for (const wrong of [
    [],
    ["--vector", "[1,2]", "--like", "1"],
    ["--vector", "text"],
    ["--vector", '["1"]'],
    ["--vector", "[1,2]", "--from", "1"],
    ["--vector", "[1,2]", "--within", "1"],
    ["--vector", "[1,2]", "--limit", "0"],
  ])
    assert.is(await codeOf("nearest", ...REFERENCE, ...wrong), "ERR_USAGE", wrong.join(" "));
  assert.is(await codeOf("nearest", ...REFERENCE, "--vector", "[1]"), "ERR_GRAPH_INVALID_VECTOR");
  assert.is(await codeOf("nearest", ...REFERENCE, "--like", "9"), "ERR_GRAPH_NOT_FOUND");
  const other = ["--label", "Other", "--property", "embedding"];
  assert.is(await codeOf("nearest", ...other, "--vector", "[1,2]"), "ERR_GRAPH_VECTORS_NOT_FOUND");
  const define = ["vectors", "define", "--dimensions", "2"];
  assert.is(await codeOf(...define, ...other, "--metric", "hamming"), "ERR_GRAPH_VECTORS_DEFINITION");
  assert.is(await codeOf(...define, ...REFERENCE), "ERR_GRAPH_VECTORS_EXISTS");
  const list = ["graph", "vectors", "list", "--store", store];
  assert.equal(
    (await runJson(list)).map(({ label, dimensions }) => [label, dimensions]),
    [["Note", 2]],
  );
  await runJson(["graph", "vectors", "remove", ...REFERENCE, "--store", store]);
  assert.equal(await runJson(list), []);
  assert.is(await codeOf("vectors", "remove", ...REFERENCE), "ERR_GRAPH_VECTORS_NOT_FOUND");
});
