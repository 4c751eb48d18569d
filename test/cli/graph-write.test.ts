import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/graph write");

type Graph = (...parameters: string[]) => string[];

function newStore(): { store: string; graph: Graph } {
  const store = join(temporaryDirectory(), "store");
  return { store, graph: (...parameters) => ["graph", ...parameters, "--store", store] };
}

async function storeOfTwo(): Promise<{ graph: Graph; ann: string; bo: string; edge: string }> {
  const { graph } = newStore();
  const create = async (...parameters: string[]) => String((await runJson(graph("create", ...parameters)))[0]?.["id"]);
  const ann = await create(
    "node",
    "--label",
    "Person",
    "--properties",
    '{"name":"Ann","age":7}',
    "--valid-from",
    "2020-01-01",
  );
  const bo = await create("node", "--label", "Person", "--properties", '{"name":"Bo"}', "--valid-from", "2020-01-01");
  const ends = ["--from", ann, "--to", bo, "--properties", '{"since":2021}', "--valid-from", "2021-01-01"];
  const edge = await create("edge", "--label", "KNOWS", ...ends, "--actor", "eve", "--source", "crm");
  return { graph, ann, bo, edge };
}

test("creates, changes and deletes nodes and edges, each with its period and provenance", async () => {
  const { graph, ann, edge } = await storeOfTwo();
  const at = (time: string) => runJson(graph("node", "--id", ann, "--valid", time));
  const [patched] = await runJson(
    graph(
      "patch",
      "node",
      ann,
      "--properties",
      '{"age":8,"name":null}',
      "--valid-from",
      "2022-01-01",
      "--valid-to",
      "2023-01-01",
    ),
  );
  assert.is(String(patched?.["id"]), ann);
  assert.equal((await at("2022-06-01"))[0]?.["properties"], { age: 8 });
  assert.equal((await at("2023-06-01"))[0]?.["properties"], { name: "Ann", age: 7 });
  await runJson(graph("replace", "node", ann, "--properties", '{"name":"Anna"}', "--valid-from", "2023-01-01"));
  assert.equal((await at("2023-06-01"))[0]?.["properties"], { name: "Anna" });
  await runJson(
    graph(
      "put",
      "node",
      ann,
      "--label",
      "Person",
      "--properties",
      '{"n":1}',
      "--valid-from",
      "2019-01-01",
      "--valid-to",
      "2020-01-01",
    ),
  );
  assert.equal((await at("2019-06-01"))[0]?.["properties"], { n: 1 });

  const [shown] = await runJson(graph("edge", edge));
  assert.equal([shown?.["label"], shown?.["properties"]], ["KNOWS", { since: 2021 }]);
  const [version] = await runJson(graph("version", "--edge-id", edge));
  const [provenance] = await runJson(graph("provenance", String(version?.["lsn"])));
  assert.equal(provenance?.["provenance"], { source: "crm", actor: "eve" });
  assert.match((await runCli(graph("provenance", String(version?.["lsn"])))).stdout, '"actor":"eve"');
  await runJson(
    graph(
      "patch",
      "edge",
      edge,
      "--properties",
      '{"since":2020}',
      "--expected-version",
      String(version?.["entityVersion"]),
    ),
  );
  const conflict = await runFailing(
    graph("patch", "edge", edge, "--properties", "{}", "--expected-version", String(version?.["entityVersion"])),
  );
  assert.is(conflict.code, "ERR_GRAPH_VERSION_CONFLICT");

  assert.is((await runFailing(graph("delete", "node", ann))).code, "ERR_GRAPH_HAS_EDGES");
  await runJson(graph("delete", "node", ann, "--detach", "--valid-from", "2024-01-01"));
  assert.is((await runFailing(graph("edge", edge))).code, "ERR_GRAPH_NOT_FOUND");
  await runJson(graph("retract", "edge", edge));
  assert.is((await runFailing(graph("edge", edge, "--valid", "2022-01-01"))).code, "ERR_GRAPH_NOT_FOUND");
  assert.match((await runCli(graph("retract", "node", ann))).stdout, new RegExp(`^node ${ann} at LSN \\d+\n$`));
});

test("upserts by a unique key, and shows how the graph stands", async () => {
  const { graph, ann } = await storeOfTwo();
  const upsert = graph("upsert", "--label", "Person", "--key", "name", "--properties", '{"name":"Ann","age":9}');
  assert.is((await runFailing(upsert)).code, "ERR_GRAPH_CONSTRAINT_NOT_FOUND");
  await runJson(graph("constraint", "add", "unique", "Person", "name"));
  const [done] = await runJson(upsert);
  assert.equal([String(done?.["id"]), done?.["created"]], [ann, false]);
  assert.is(
    (await runFailing(graph("upsert", "--label", "Person", "--key", "email"))).code,
    "ERR_GRAPH_INVALID_PROPERTY",
  );
  const [status] = await runJson(graph("status"));
  assert.equal(
    [
      status?.["nodes"],
      status?.["edges"],
      status?.["constraints"],
      status?.["rejectedEvents"],
      status?.["truncatedBefore"],
    ],
    [2, 1, 1, 0, null],
  );
  assert.match((await runCli(graph("status"))).stdout, "2 nodes and 1 edges were ever known");
  assert.equal(await runJson(graph("rejections")), []);
});

test("rejections lists what was refused at its own LSN", async () => {
  const { graph, store } = newStore();
  const event = { type: "varve.v1.NodePatched", data: { id: 5, properties: { a: 1 } } };
  await runCli(["append", "--store", store, "--stream", "graph"], { input: `${JSON.stringify(event)}\n` });
  const [rejection] = await runJson(graph("rejections"));
  assert.equal([rejection?.["code"], rejection?.["kind"], rejection?.["id"]], ["ERR_GRAPH_NOT_FOUND", "node", 5]);
  assert.match((await runCli(graph("rejections"))).stdout, "ERR_GRAPH_NOT_FOUND  node 5");
});

test("edges are followed by what they hold, in every walk", async () => {
  const { graph, ann, bo } = await storeOfTwo();
  const where = (year: number) => ["--edge-where", `{"since":{"gte":${year}}}`];
  const from = ["--id", ann];
  for (const [walk, answers] of [
    [["edges", ...from], (lines: unknown[]) => lines.length],
    [["neighbors", ...from], (lines: unknown[]) => lines.length],
    [["degree", ...from], ([line]: { degree?: number }[]) => line?.degree],
    [["traverse", ...from, "--depth", "2"], (lines: unknown[]) => lines.length],
    [["subgraph", ...from, "--hops", "2"], (lines: unknown[]) => (lines.length - 1) / 2],
    [["path", "--from", ann, "--to", bo], ([line]: { edges?: unknown[] }[]) => line?.edges?.length],
  ] as const) {
    assert.is(answers((await runJson(graph(...walk, ...where(2021)))) as never), 1, walk.join(" "));
    assert.is(answers((await runJson(graph(...walk, ...where(2022)))) as never), 0, walk.join(" "));
    assert.is(
      (await runFailing(graph(...walk, "--edge-where", '{"since":{"gte":2,"lt":1}}'))).code,
      "ERR_GRAPH_INVALID_RANGE",
    );
    assert.is((await runFailing(graph(...walk, "--edge-where", "[]"))).code, "ERR_USAGE");
  }
  const over = ["traverse", ...from, "--depth", "2", "--over-where"];
  assert.is((await runJson(graph(...over, '{"name":"Bo"}'))).length, 1);
  assert.is((await runJson(graph(...over, '{"name":"Ann"}'))).length, 0);
});

test("a step of a pattern says what edges and nodes hold, and the ends are given once", async () => {
  const { graph, ann, bo } = await storeOfTwo();
  const step = (step: object) => graph("match", "--id", ann, "--step", JSON.stringify(step));
  const whole = {
    direction: "out",
    label: "KNOWS",
    edgeWhere: { since: { gte: 2021 } },
    nodeLabel: "Person",
    where: { name: "Bo" },
  };
  assert.is((await runJson(step(whole))).length, 1);
  assert.is((await runJson(step({ ...whole, where: { name: "Cy" } }))).length, 0);
  assert.is((await runJson(step({ ...whole, edgeWhere: { since: 1 } }))).length, 0);
  const ends = await runJson(graph("match", "--label", "Person", "--step", "both", "--step", "both", "--ends"));
  assert.equal(ends, []);
  const [end] = await runJson([...step(whole), "--ends"]);
  assert.is(String(end?.["id"]), bo);
  for (const wrong of [
    {},
    { direction: "up" },
    { direction: "in", limit: 1 },
    { direction: "in", label: "" },
    { direction: "in", where: 1 },
  ])
    assert.is((await runFailing(step(wrong))).code, "ERR_USAGE", JSON.stringify(wrong));
});

const BATCH = [
  {
    op: "createNode",
    as: "bo",
    label: "Person",
    properties: { name: "Bo", tags: { bytes: "AQI=" } },
    validFrom: "2020-01-01",
  },
  {
    op: "createNode",
    as: "ann",
    label: "Person",
    properties: { name: "Ann", face: [1, 0.5] },
    validFrom: 1577836800000000,
  },
  { op: "createEdge", as: "knows", label: "KNOWS", source: "bo", target: "ann", validFrom: "2020-01-01" },
  { op: "patchEdge", id: "knows", properties: { since: 2020 }, validFrom: "2020-01-01" },
  { op: "replaceNode", id: "ann", properties: { name: "Anna" }, validFrom: "2021-01-01" },
  { op: "deleteNode", id: "bo", detach: true, validFrom: "2030-01-01" },
];

const asLines = (lines: readonly unknown[]) => lines.map((line) => `${JSON.stringify(line)}\n`).join("");

test("a batch of lines is one change, whose lines refer to one another", async () => {
  const { graph } = newStore();
  const file = join(temporaryDirectory(), "batch.ndjson");
  writeFileSync(file, asLines(BATCH));
  const [done] = await runJson(graph("batch", file, "--note", "by hand"));
  const [bo, ann, knows] = (done?.["ids"] ?? []) as number[];
  assert.equal(done?.["ids"], [bo, ann, knows, knows, ann, bo]);
  const nodes = await runJson(graph("find", "--label", "Person", "--valid", "2020-06-01"));
  assert.equal(
    nodes.map(({ properties }) => properties),
    [
      { name: "Bo", tags: "AQI=" },
      { name: "Ann", face: [1, 0.5] },
    ],
  );
  assert.equal((await runJson(graph("edge", String(knows), "--valid", "2022-01-01")))[0]?.["properties"], {
    since: 2020,
  });
  assert.is((await runFailing(graph("edge", String(knows), "--valid", "2031-01-01"))).code, "ERR_GRAPH_NOT_FOUND");
  const [provenance] = await runJson(graph("provenance", String(done?.["lsn"])));
  assert.equal(provenance?.["provenance"], { note: "by hand" });

  const more = asLines([{ op: "patchNode", id: ann, properties: { age: 1 } }]);
  const { stdout } = await runCli(graph("batch", "-"), { input: more });
  assert.match(stdout, /^1 changes at LSN \d+\n$/);
});

test("a batch with a bad line names it, and changes nothing", async () => {
  const { graph, store } = newStore();
  const good = { op: "createNode", as: "a", label: "A" };
  for (const [bad, code] of [
    [17, "ERR_IMPORT_SOURCE"],
    [{ op: "makeNode" }, "ERR_IMPORT_SOURCE"],
    [{ op: "createNode", as: "a", label: "A" }, "ERR_IMPORT_SOURCE"],
    [{ op: "createNode", id: 4, label: "A" }, "ERR_IMPORT_SOURCE"],
    [{ op: "createNode", label: "A", colour: 1 }, "ERR_IMPORT_SOURCE"],
    [{ op: "createNode", label: "" }, "ERR_IMPORT_SOURCE"],
    [{ op: "createNode", label: "A", properties: [] }, "ERR_IMPORT_SOURCE"],
    [{ op: "createNode", label: "A", validFrom: "soon" }, "ERR_IMPORT_SOURCE"],
    [{ op: "createNode", label: "A", validFrom: 2, validTo: 1 }, "ERR_GRAPH_INVALID_PERIOD"],
    [{ op: "createNode", label: "A", properties: { a: { b: 1 } } }, "ERR_GRAPH_INVALID_PROPERTY"],
    [{ op: "createNode", label: "A", properties: { a: { bytes: "?" } } }, "ERR_IMPORT_SOURCE"],
    [{ op: "patchNode", as: "b", id: "a", properties: {} }, "ERR_IMPORT_SOURCE"],
    [{ op: "patchNode", id: "b", properties: {} }, "ERR_IMPORT_SOURCE"],
    [{ op: "patchEdge", id: "a", properties: {} }, "ERR_GRAPH_BATCH_REFERENCE"],
    [{ op: "patchNode", id: 99, properties: {} }, "ERR_GRAPH_NOT_FOUND"],
    [{ op: "createEdge", label: "E", source: "a", target: 99 }, "ERR_GRAPH_NO_ENDS"],
    [{ op: "upsertNode", label: "A", key: "k", properties: { k: 1 } }, "ERR_GRAPH_CONSTRAINT_NOT_FOUND"],
  ] as const) {
    const failure = await runFailing(graph("batch", "-"), { input: `${asLines([good])}\n${asLines([bad])}` });
    assert.equal([failure.code, (failure["details"] as { line?: number }).line], [code, 3], JSON.stringify(bad));
  }
  assert.equal(await runJson(graph("find")), []);
  assert.is((await runFailing(graph("batch", "-"), { input: "" })).code, "ERR_USAGE");
  const many = asLines(Array.from({ length: 10_001 }, () => ({ op: "createNode", label: "A" })));
  assert.is((await runFailing(graph("batch", "-"), { input: many })).code, "ERR_GRAPH_BATCH_LIMIT");
  const other = join(store, "..", "other");
  assert.is((await runFailing(["graph", "batch", join(store, "none"), "--store", other])).code, "ERR_IMPORT_SOURCE");
  assert.not.ok(existsSync(other));
});

test("what a change is not about is a usage error, and what is wrong with it has its code", async () => {
  const { graph, ann, bo, edge } = await storeOfTwo();
  const properties = ["--properties", "{}"];
  for (const wrong of [
    ["create", "thing", "--label", "A"],
    ["create", "node"],
    ["create", "node", "--label", "A", "--from", ann],
    ["create", "edge", "--label", "A", "--from", ann],
    ["create", "node", "--label", "A", "--properties", "[]"],
    ["create", "node", "--label", "A", "--properties", '{"a":{"bytes":"?"}}'],
    ["create", "node", "--label", "A", "--valid-from", "soon"],
    ["patch", "node", ann],
    ["patch", "node", "0", ...properties],
    ["patch", "node", ann, ...properties, "--expected-version", "-1"],
    ["delete", "edge", edge, "--detach"],
    ["upsert", "--label", "A"],
    ["edges"],
    ["edge"],
    ["provenance", "0"],
  ])
    assert.is((await runFailing(graph(...wrong))).code, "ERR_USAGE", wrong.join(" "));
  const period = ["--valid-from", "2021-01-01", "--valid-to", "2020-01-01"];
  for (const [wrong, code] of [
    [["create", "node", "--label", "A", ...period], "ERR_GRAPH_INVALID_PERIOD"],
    [["create", "node", "--label", "A", "--properties", '{"a":{}}'], "ERR_GRAPH_INVALID_PROPERTY"],
    [["create", "edge", "--label", "A", "--from", ann, "--to", "99"], "ERR_GRAPH_NO_ENDS"],
    [["put", "edge", edge, "--label", "LIKES", "--from", ann, "--to", bo], "ERR_GRAPH_EDGE_FIXED"],
    [["patch", "node", "99", ...properties], "ERR_GRAPH_NOT_FOUND"],
    [["retract", "edge", "99"], "ERR_GRAPH_NOT_FOUND"],
    [["edge", "99"], "ERR_GRAPH_NOT_FOUND"],
  ] as const)
    assert.is((await runFailing(graph(...wrong))).code, code, wrong.join(" "));
  const none = join(temporaryDirectory(), "none");
  const failure = await runFailing(["graph", "patch", "node", "1", ...properties, "--store", none]);
  assert.is(failure.code, "ERR_STORE_NOT_FOUND");
});
