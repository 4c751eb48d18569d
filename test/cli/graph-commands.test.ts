import { join } from "node:path";
import { openStore } from "../../src/index.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { type JsonObject, runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/graph commands");

const year = (of: number) => Date.UTC(of, 0, 1) * 1_000;

/** Ann, salary 100 from 2020, 120 from 2021; later corrected to 110 for 2020; and gone from 2023: the design's own example. */
async function makeStore(): Promise<{ store: string; lsns: number[] }> {
  const directory = join(temporaryDirectory(), "store");
  await using store = await openStore(directory);
  const lsns: number[] = [];
  const append = async (type: string, data: object): Promise<void> => {
    lsns.push((await store.append("people", { type: `varve.v1.${type}`, data })).lsn);
  };
  const ann = { id: 1, label: "Person", properties: { name: "Ann", salary: 100, ["__proto__"]: "x" } };
  await append("NodeCreated", { ...ann, validFrom: year(2020) });
  await append("NodePatched", { id: 1, properties: { salary: 120 }, validFrom: year(2021) });
  await append("NodePatched", { id: 1, properties: { salary: 110 }, validFrom: year(2020), validTo: year(2021) });
  await append("NodeCreated", { id: 2, label: "Company", properties: { name: "Acme" }, validFrom: year(2000) });
  await append("NodeCreated", {
    id: 3,
    label: "Person",
    properties: { name: "Bo", salary: 100, on: true },
    validFrom: year(2020),
  });
  const works = { label: "WORKS_AT", target: 2, validFrom: year(2020) };
  await append("EdgeCreated", { id: 1, ...works, source: 1, properties: { role: "chief" } });
  await append("EdgeCreated", { id: 2, ...works, source: 3 });
  await append("EdgeCreated", { id: 3, ...works, source: 3, label: "OWNS" });
  await append("NodeDeleted", { id: 1, validFrom: year(2023), detach: true });
  return { store: directory, lsns };
}

const ids = (nodes: readonly JsonObject[]) => nodes.map((node) => node["id"]);

test("finds nodes by label and properties, at a valid and a recorded time", async () => {
  const { store, lsns } = await makeStore();
  const find = async (...parameters: string[]) =>
    ids(await runJson(["graph", "find", "--store", store, ...parameters]));
  const at = (of: number) => ["--valid", `${of}-06-01`];
  assert.equal(await find("--label", "Person", ...at(2022)), [1, 3]);
  assert.equal(await find("--label", "Person", ...at(2024)), [3]);
  assert.equal(await find("--label", "Person", ...at(2024), "--recorded", `lsn:${lsns[7]}`), [1, 3]);
  assert.equal(await find("--label", "Person", "--limit", "1", ...at(2022)), [1]);
  assert.equal(await find("--label", "Nobody"), []);
  assert.equal(await find(...at(2022)), [1, 2, 3]);
  assert.equal(await find("--where", "salary=120", ...at(2022)), [1]);
  assert.equal(await find("--label", "Person", "--where", "salary=100", "--where", "name=Bo"), [3]);
  assert.equal(await find("--where", "on=true"), [3]);
  assert.equal(await find("--where", "name=A=B"), []);
  assert.equal(await find("--where", "__proto__=x", ...at(2022)), [1]);
});

test("finds nodes by ranges, and in the order of a property", async () => {
  const directory = join(temporaryDirectory(), "store");
  {
    await using store = await openStore(directory);
    const graph = await store.graph();
    for (const [n, since] of [
      [30, year(2023)],
      [4, year(2021)],
      ["5", year(2022)],
      [-1, year(2020)],
    ] as const)
      await graph.createNode({ label: "A", properties: { n, since }, validFrom: 0 });
    await graph.createNode({ label: "A", properties: { since: year(2024) }, validFrom: 0 });
  }
  const values = async (...parameters: string[]): Promise<unknown[]> =>
    (await runJson(["graph", "find", "--store", directory, ...parameters])).map(
      ({ properties }) => (properties as JsonObject)["n"] ?? null,
    );
  assert.equal(await values("--range", "n>=4"), [30, 4]);
  assert.equal(await values("--range", "n>4", "--range", "n<=30"), [30]);
  assert.equal(await values("--range", 'n>="4"'), ["5"]);
  assert.equal(await values("--range", "since<time:2022-06-01", "--label", "A"), [4, "5", -1]);
  assert.equal(await values("--order-by", "n"), [-1, 4, 30, "5"]);
  assert.equal(await values("--order-by", "n", "--descending", "--limit", "2"), ["5", 30]);
  assert.equal(await values("--order-by", "n", "--limit", "0"), []);
  assert.equal(await values("--order-by", "since", "--range", "n<100"), [-1, 4, 30]);
  assert.equal(await values("--order-by", "since", "--where", "n=4"), [4]);
  const rows = await runJson(["graph", "match", "--store", directory, "--range", "n>=4", "--range", "n<10"]);
  assert.is(rows.length, 1);
  const degree = await runCli(["graph", "degree", "--store", directory, "--json", "--range", "n<0"]);
  assert.is((JSON.parse(degree.stdout) as JsonObject)["degree"], 0);
  for (const [parameters, code] of [
    [["--range", "n=4"], "ERR_USAGE"],
    [["--range", ">=4"], "ERR_USAGE"],
    [["--range", "n>="], "ERR_USAGE"],
    [["--range", "n>=time:soon"], "ERR_USAGE"],
    [["--range", "n>1", "--range", "n>2"], "ERR_USAGE"],
    [["--range", "n>1", "--where", "n=2"], "ERR_USAGE"],
    [["--descending"], "ERR_USAGE"],
    [["--order-by", ""], "ERR_USAGE"],
    [["--range", "n>=5", "--range", "n<5"], "ERR_GRAPH_INVALID_RANGE"],
    [["--range", "n>5", "--range", "n<4"], "ERR_GRAPH_INVALID_RANGE"],
    [["--range", "n>1", "--range", "n<a"], "ERR_GRAPH_INVALID_RANGE"],
  ] as const) {
    assert.is(
      (await runFailing(["graph", "find", "--store", directory, ...parameters])).code,
      code,
      parameters.join(" "),
    );
  }
});

test("a node prints its seven fields, times in µs and null for an open end", async () => {
  const { store } = await makeStore();
  const run = await runCli(["graph", "node", "--json", "--id", "2", "--store", store]);
  const node = JSON.parse(run.stdout) as JsonObject;
  assert.equal(Object.keys(node), ["id", "label", "properties", "validFrom", "validTo", "recordedFrom", "recordedTo"]);
  const { recordedFrom, ...rest } = node;
  assert.equal(rest, {
    id: 2,
    label: "Company",
    properties: { name: "Acme" },
    validFrom: year(2000),
    validTo: null,
    recordedTo: null,
  });
  assert.ok(Number.isSafeInteger(recordedFrom));
  assert.match((await runCli(["graph", "node", "--id", "2", "--store", store])).stdout, "Company 2");
});

test("shows the design's worked example as it stands there", async () => {
  const { store, lsns } = await makeStore();
  const salary = async (valid: string, lsn: number | undefined): Promise<unknown> => {
    const parameters = ["graph", "find", "--where", "name=Ann", "--valid", valid, "--recorded", `lsn:${lsn}`];
    const [node] = await runJson([...parameters, "--store", store]);
    return (node?.["properties"] as JsonObject | undefined)?.["salary"];
  };
  const [first, second, third] = lsns;
  const last = lsns.at(-1);
  const table = await Promise.all(
    ["2020-07-01", "2021-07-01", "2023-07-01"].map((valid) =>
      Promise.all([first, second, third, last].map((lsn) => salary(valid, lsn))),
    ),
  );
  assert.equal(table, [
    [100, 100, 110, 110],
    [100, 120, 120, 120],
    [100, 120, 120, undefined],
  ]);
});

test("one node is asked for by id, or by what only it is", async () => {
  const { store } = await makeStore();
  const node = ["graph", "node", "--store", store, "--valid", "2022-01-01"];
  assert.equal(ids(await runJson([...node, "--label", "Person", "--where", "name=Bo"])), [3]);
  assert.is((await runFailing([...node, "--id", "9"])).code, "ERR_GRAPH_NOT_FOUND");
  assert.is((await runFailing([...node, "--label", "Person"])).code, "ERR_USAGE");
  assert.is((await runFailing(node)).code, "ERR_USAGE");
});

test("neighbours come once each, with the edges that lead there", async () => {
  const { store } = await makeStore();
  const neighbors = async (...parameters: string[]) =>
    (await runJson(["graph", "neighbors", "--store", store, "--valid", "2022-01-01", ...parameters])).map((node) => [
      node["id"],
      (node["edges"] as JsonObject[]).map((edge) => edge["label"]).sort(),
    ]);
  assert.equal(await neighbors("--id", "3"), [[2, ["OWNS", "WORKS_AT"]]]);
  assert.equal(await neighbors("--id", "3", "--edge", "OWNS"), [[2, ["OWNS"]]]);
  assert.equal(await neighbors("--id", "3", "--direction", "in"), []);
  assert.equal((await neighbors("--label", "Company", "--direction", "in")).map(([id]) => id).sort(), [1, 3]);
  const [node = {}] = await runJson(["graph", "neighbors", "--store", store, "--id", "1", "--valid", "2022-01-01"]);
  const [edge] = node["edges"] as JsonObject[];
  assert.equal([edge?.["source"], edge?.["target"], edge?.["properties"]], [1, 2, { role: "chief" }]);
});

test("walks, paths, what is around, components and ranks", async () => {
  const { store } = await makeStore();
  const ask = (...parameters: string[]) => runJson(["graph", ...parameters, "--valid", "2022-01-01", "--store", store]);
  assert.equal(await ask("degree", "--id", "2"), [{ id: 2, degree: 3 }]);
  assert.equal(await ask("degree", "--id", "2", "--edge", "OWNS", "--direction", "in"), [{ id: 2, degree: 1 }]);
  const steps = await ask("traverse", "--id", "1", "--depth", "2");
  assert.equal(
    steps.map(({ id, depth, edge, from, label }) => [id, depth, edge, from, label]),
    [
      [2, 1, 1, 1, "Company"],
      [3, 2, 3, 2, "Person"],
    ],
  );
  assert.equal(await ask("traverse", "--id", "1", "--depth", "2", "--over", "Person"), []);
  assert.is((await ask("traverse", "--id", "1", "--depth", "9", "--limit", "1")).length, 1);
  const [path = {}] = await ask("path", "--from", "1", "--to", "3");
  assert.equal(
    [ids(path["nodes"] as JsonObject[]), ids(path["edges"] as JsonObject[])],
    [
      [1, 2, 3],
      [1, 3],
    ],
  );
  const none = { nodes: [], edges: [] };
  assert.equal(await ask("path", "--from", "1", "--to", "3", "--direction", "out"), [none]);
  assert.equal(await ask("path", "--from", "1", "--to", "3", "--depth", "1"), [none]);
  const around = await ask("subgraph", "--id", "3", "--hops", "1");
  assert.equal(around.map(({ kind, id }) => `${kind} ${id}`).sort(), ["edge 2", "edge 3", "node 2", "node 3"]);
  assert.equal((await ask("subgraph", "--id", "3", "--hops", "2", "--limit", "1")).slice(0, 1), [{ complete: false }]);
  assert.equal(await ask("components"), [{ size: 3, nodes: [1, 2, 3] }]);
  assert.equal(
    (await ask("components", "--edge", "OWNS", "--limit", "1")).map(({ nodes }) => nodes),
    [[2, 3]],
  );
  const ranks = await ask("rank", "--damping", "0.5", "--tolerance", "0", "--iterations", "9", "--limit", "2");
  assert.equal([ranks.length, ranks[0]?.["id"]], [2, 2]);
  for (const parameters of [
    ["traverse", "--id", "1"],
    ["traverse", "--id", "1", "--depth", "0"],
    ["path", "--from", "1"],
    ["subgraph", "--id", "1", "--hops", "two"],
    ["rank", "--damping", "1"],
    ["rank", "--iterations", "10001"],
    ["components", "--limit", "0"],
  ]) {
    const failure = await runFailing(["graph", ...parameters, "--store", store]);
    assert.is(failure.code, "ERR_USAGE", parameters.join(" "));
  }
});

test("history shows every rectangle, of a node and of an edge", async () => {
  const { store, lsns } = await makeStore();
  const rectangles = await runJson(["graph", "history", "--id", "1", "--store", store]);
  const shown = rectangles.map((each) => [
    (each["properties"] as JsonObject)["salary"],
    each["validFrom"],
    each["validTo"],
    each["lsn"],
    each["supersededBy"],
  ]);
  assert.ok(shown.some((each) => String(each) === String([110, year(2020), year(2021), lsns[2], null])));
  assert.ok(shown.some((each) => String(each) === String([120, year(2021), year(2023), lsns[1], null])));
  assert.ok(rectangles.every((each) => Object.hasOwn(each, "recordedTo")));
  const now = await runJson(["graph", "history", "--id", "1", "--at", "valid", "--store", store]);
  assert.equal(
    now.map((each) => [each["validFrom"], each["validTo"]]),
    [
      [year(2021), year(2023)],
      [year(2020), year(2021)],
    ]
      .sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0))
      .reverse(),
  );
  const [edge] = await runJson(["graph", "history", "--edge-id", "3", "--store", store]);
  assert.equal([edge?.["label"], edge?.["source"], edge?.["target"]], ["OWNS", 3, 2]);
  const failure = await runFailing(["graph", "history", "--id", "1", "--edge-id", "1", "--store", store]);
  assert.is(failure.code, "ERR_USAGE");
});

test("a pattern gives every way through it", async () => {
  const { store } = await makeStore();
  const match = async (...parameters: string[]) =>
    (await runJson(["graph", "match", "--valid", "2022-01-01", "--store", store, ...parameters])).map(
      ({ nodes, edges }) => [ids(nodes as JsonObject[]), ids(edges as JsonObject[])],
    );
  assert.equal(await match("--label", "Person", "--where", "salary=120", "--step", "out:WORKS_AT:Company"), [
    [[1, 2], [1]],
  ]);
  assert.equal(await match("--where", "name=Ann", "--step", "out", "--step", "in::Person"), [
    [
      [1, 2, 3],
      [1, 3],
    ],
    [
      [1, 2, 3],
      [1, 2],
    ],
  ]);
  assert.equal(await match("--id", "2", "--step", "both:OWNS"), [[[2, 3], [3]]]);
  assert.is((await match("--step", "both", "--limit", "2")).length, 2);
  const code = async (...parameters: string[]) =>
    (await runFailing(["graph", "match", "--store", store, ...parameters])).code;
  assert.equal([await code("--step", "up"), await code("--step", "out:A:B:C")], ["ERR_USAGE", "ERR_USAGE"]);
  const run = await runCli(["graph", "match", "--id", "3", "--step", "out:OWNS", "--store", store]);
  assert.is(run.stdout.trimEnd().split("\n").length, 3);
});

test("an id that never was, and a name that says nothing, is an error of every command", async () => {
  const { store } = await makeStore();
  const codeOf = async (command: string): Promise<unknown> =>
    (await runFailing(["graph", ...command.split(" ").map((part) => part.replace("''", "")), "--store", store])).code;
  for (const command of [
    ...[
      "node --id 77",
      "neighbors --id 77",
      "degree --id 77",
      "traverse --id 77 --depth 2",
      "subgraph --id 77 --hops 2",
    ],
    ...["history --id 77", "history --edge-id 77", "version --id 77", "lineage --id 77", "lineage --edge-id 77"],
    ...["match --id 77", "match --id 77 --ever", "path --from 77 --to 1", "path --from 1 --to 77"],
    ...["overlaps node:77 node:1", "overlaps node:1 edge:77"],
  ]) {
    assert.is(await codeOf(command), "ERR_GRAPH_NOT_FOUND", command);
  }
  for (const command of [
    ...["find --label ''", "find --order-by ''", "traverse --id 1", "subgraph --id 1", "components --edge ''"],
    ...[
      "traverse --id 1 --depth 0",
      "traverse --id 1 --depth 2 --over ''",
      "rank --edge ''",
      "lineage --id 1 --property ''",
    ],
    ...["find --valid 9007199254740992", "find --recorded lsn:9999", "changes --after 9999", "lsn --of 9999"],
  ]) {
    assert.is(await codeOf(command), "ERR_USAGE", command);
  }
  for (const command of [
    "history --id 1 --valid-from 2021-01-01 --valid-to 2020-01-01",
    "history --id 1 --recorded-from 2021-01-01 --recorded-to 2021-01-01",
    "changes --recorded-from 2021-01-01 --recorded-to 2020-01-01",
  ]) {
    assert.is(await codeOf(command), "ERR_GRAPH_INVALID_PERIOD", command);
  }
});

test("a pattern over time says when each way held", async () => {
  const { store, lsns } = await makeStore();
  const periods = async (...parameters: string[]): Promise<unknown[]> => {
    const command = [
      "graph",
      "match",
      "--store",
      store,
      "--where",
      "name=Bo",
      "--step",
      "out:WORKS_AT",
      "--step",
      "in:WORKS_AT",
    ];
    return (await runJson([...command, ...parameters])).map(({ validFrom, validTo }) => [validFrom, validTo]);
  };
  // Beside Ann, whose salary changes in 2021 and who is gone from 2023.
  assert.equal(await periods("--ever"), [
    [year(2020), year(2021)],
    [year(2021), year(2023)],
  ]);
  assert.equal(await periods("--valid-from", "2022-01-01"), [[year(2022), year(2023)]]);
  assert.equal(await periods("--valid-to", "2020-06-01"), [[year(2020), Date.UTC(2020, 5, 1) * 1_000]]);
  assert.equal((await periods("--ever", "--recorded", `lsn:${lsns[7]}`)).at(-1), [year(2021), null]);
  assert.equal(await periods("--ever", "--limit", "1"), [[year(2020), year(2021)]]);
  const text = await runCli(["graph", "match", "--store", store, "--id", "3", "--step", "out:OWNS", "--ever"]);
  assert.match(text.stdout, "2020-01-01T00:00:00Z … ");
  const fails = async (...parameters: string[]) =>
    (await runFailing(["graph", "match", "--store", store, ...parameters])).code;
  assert.is(await fails("--valid-from", "2022-01-01", "--valid-to", "2022-01-01"), "ERR_GRAPH_INVALID_PERIOD");
  assert.is(await fails("--valid-from", "2023-01-01", "--valid-to", "2022-01-01"), "ERR_GRAPH_INVALID_PERIOD");
  assert.is(await fails("--ever", "--valid", "2022-01-01"), "ERR_USAGE");
  assert.is(await fails("--valid-to", "9007199254740992"), "ERR_USAGE");
});

test("versions, windows, changes, overlaps, lineage and LSNs", async () => {
  const { store, lsns } = await makeStore();
  const ask = (...parameters: string[]) => runJson(["graph", ...parameters, "--store", store]);
  const first = (lsns[0] ?? 0) - 1;
  const [version = {}] = await ask("version", "--id", "1", "--valid", "2020-06-01", "--recorded", `lsn:${lsns[1]}`);
  assert.equal([version["lsn"], version["supersededBy"]], [lsns[0], lsns[2]]);
  assert.is((await ask("version", "--edge-id", "1", "--valid", "2021-01-01"))[0]?.["label"], "WORKS_AT");
  assert.is((await runFailing(["graph", "version", "--id", "1", "--store", store])).code, "ERR_GRAPH_NOT_FOUND");

  const history = (...parameters: string[]) => ask("history", "--id", "1", ...parameters);
  const within2020 = await history("--valid-from", "2020-01-01", "--valid-to", "2021-01-01");
  assert.equal(
    within2020.map(({ lsn }) => lsn),
    [lsns[0], lsns[2]],
  );
  assert.equal(await history("--recorded-from", `lsn:${lsns[8]}`, "--valid-to", "2020-06-01"), within2020.slice(1));
  assert.equal(await history("--recorded-to", `lsn:${lsns[0]}`), []);

  const changes = await ask("changes", "--after", String(first), "--limit", "4");
  const last = changes.pop();
  assert.equal(
    changes.map(({ lsn, kind, id, change }) => [lsn, kind, id, change]),
    [0, 1, 2, 3].map((at) => [lsns[at], "node", at === 3 ? 2 : 1, "asserted"]),
  );
  assert.equal(last, { next: lsns[3], hasMore: true });
  const rest = await ask("changes", "--after", String(lsns[3]));
  assert.equal(
    rest.map(({ kind, id, change, next }) => (next === undefined ? `${kind} ${id} ${change}` : next)),
    ["node 3 asserted", ...[1, 2, 3].map((id) => `edge ${id} asserted`), "node 1 deleted", "edge 1 deleted", lsns[8]],
  );
  assert.equal((await ask("changes", "--recorded-to", "2000-01-01")).length, 1);

  const overlaps = await ask("overlaps", "edge:1", "node:3");
  assert.equal(
    overlaps.map(({ validFrom, validTo }) => [validFrom, validTo]),
    [[year(2020), year(2023)]],
  );
  const known = await ask("overlaps", "node:1", "node:2", "--recorded", `lsn:${lsns[3]}`);
  assert.equal(
    known.map(({ validFrom, a }) => [validFrom, ((a as JsonObject)["properties"] as JsonObject)["salary"]]),
    [
      [year(2020), 110],
      [year(2021), 120],
    ],
  );

  const lineage = async (...parameters: string[]): Promise<JsonObject> =>
    (await ask("lineage", "--id", "1", "--valid", "2022-01-01", ...parameters))[0] ?? {};
  assert.equal((await lineage("--property", "name"))["lsn"], lsns[0]);
  const salary = await lineage("--property", "salary");
  assert.equal([salary["lsn"], (salary["event"] as JsonObject)["type"]], [lsns[1], "varve.v1.NodePatched"]);
  const unknown = await lineage("--recorded", `lsn:${first}`);
  assert.equal(unknown, { version: null, lsn: null, event: null });

  const [at = {}] = await ask("lsn", "--of", String(lsns[8]));
  assert.equal(await ask("lsn", "--at", String(at["recordedAt"])), [at]);
  assert.equal(await ask("lsn", "--of", "0"), [{ lsn: 0, recordedAt: null }]);
  for (const parameters of [
    ["changes", "--after", "99999"],
    ["changes", "--limit", "0"],
    ["history", "--id", "1", "--at", "valid", "--valid-to", "2020-01-01"],
    ["history", "--id", "1", "--recorded-from", "lsn:99999"],
    ["overlaps", "node:1", "person:2"],
    ["overlaps", "node:1"],
    ["overlaps", "node:1", "node:0"],
    ["lsn"],
    ["lsn", "--of", "99999"],
    ["lsn", "--of", "1", "--at", "0"],
    ["lineage", "--id", "1", "--edge-id", "1"],
  ]) {
    const failure = await runFailing(["graph", ...parameters, "--store", store]);
    assert.is(failure.code, "ERR_USAGE", parameters.join(" "));
  }
  const empty = ["graph", "history", "--id", "1", "--valid-from", "2021-01-01", "--valid-to", "2020-01-01"];
  assert.is((await runFailing([...empty, "--store", store])).code, "ERR_GRAPH_INVALID_PERIOD");
});

test("a point is named, listed, asked at, and loses its name again", async () => {
  const { store, lsns } = await makeStore();
  const ask = (...parameters: string[]) => runJson(["graph", ...parameters, "--store", store]);
  const point = ["--valid", "2020-06-01", "--recorded", `lsn:${lsns[0]}`];
  const [named = {}] = await ask("snapshot", "name", "first", ...point);
  assert.equal([named["name"], named["lsn"]], ["first", lsns[0]]);
  await ask("snapshot", "name", "now");
  const list = await ask("snapshot", "list");
  assert.equal(
    list.map(({ name }) => name),
    ["first", "now"],
  );
  assert.equal(list[0], named);
  assert.equal(await ask("find", "--snapshot", "first"), await ask("find", ...point));
  assert.equal((await ask("lineage", "--id", "1", "--snapshot", "first"))[0]?.["lsn"], lsns[0]);
  assert.match(
    (await runCli(["graph", "snapshot", "list", "--store", store])).stdout,
    "first  valid 2020-06-01T00:00:00Z",
  );
  assert.equal((await ask("snapshot", "remove", "first"))[0]?.["name"], "first");
  const code = async (...parameters: string[]) => (await runFailing(["graph", ...parameters, "--store", store])).code;
  assert.is(await code("find", "--snapshot", "first"), "ERR_GRAPH_SNAPSHOT_NOT_FOUND");
  assert.is(await code("snapshot", "remove", "first"), "ERR_GRAPH_SNAPSHOT_NOT_FOUND");
  assert.is(await code("snapshot", "name", "now"), "ERR_GRAPH_SNAPSHOT_EXISTS");
  assert.is(await code("snapshot", "name", ""), "ERR_USAGE");
  assert.is(await code("snapshot", "name", "x".repeat(257)), "ERR_USAGE");
  assert.is(await code("snapshot", "name", "later", "--recorded", "lsn:99999"), "ERR_USAGE");
  assert.is(await code("find", "--snapshot", "now", ...point), "ERR_USAGE");
  assert.is(await code("find", "--snapshot", ""), "ERR_USAGE");
  assert.equal((await ask("snapshot", "list")).length, 1);
});

test("diff names what was added, removed and changed, along either axis", async () => {
  const { store, lsns } = await makeStore();
  const diff = async (...parameters: string[]) =>
    (await runJson(["graph", "diff", "--store", store, ...parameters])).map((change) => {
      const entity = (change["after"] ?? change["before"]) as JsonObject;
      return `${change["change"]} ${change["kind"]} ${entity["id"]}`;
    });
  assert.equal(await diff("--since-valid", "2022-01-01", "--valid", "2024-01-01"), [
    "removed node 1",
    "removed edge 1",
  ]);
  assert.equal(await diff("--since-valid", "2010-01-01", "--valid", "2021-06-01", "--only", "node"), [
    "added node 1",
    "added node 3",
  ]);
  assert.equal(
    await diff("--since-recorded", `lsn:${lsns[1]}`, "--recorded", `lsn:${lsns[2]}`, "--valid", "2020-06-01"),
    ["changed node 1"],
  );
  assert.is((await runFailing(["graph", "diff", "--store", store])).code, "ERR_USAGE");
});

test("points that cannot be are usage errors", async () => {
  const { store } = await makeStore();
  for (const parameters of [
    ["--valid", "yesterday"],
    ["--recorded", "lsn:x"],
    ["--recorded", "lsn:99999"],
    ["--where", "nothing"],
    ["--id", "0"],
  ]) {
    const failure = await runFailing(["graph", "node", "--store", store, "--id", "1", ...parameters]);
    assert.is(failure.code, "ERR_USAGE", parameters.join(" "));
  }
});

test("text for people has one line per node", async () => {
  const { store } = await makeStore();
  const found = await runCli(["graph", "find", "--label", "Person", "--valid", "2022-01-01", "--store", store]);
  assert.is(found.stdout.trimEnd().split("\n").length, 2);
  assert.match(found.stdout, "2020-01-01T00:00:00Z");
  for (const parameters of [
    ["neighbors", "--id", "3"],
    ["history", "--id", "1"],
    ["diff", "--since-valid", "2022-01-01"],
    ["traverse", "--id", "3", "--depth", "1"],
    ["path", "--from", "3", "--to", "2"],
    ["subgraph", "--id", "3", "--hops", "1"],
    ["components", "--valid", "2022-01-01"],
    ["rank"],
    ["version", "--id", "1", "--valid", "2022-01-01"],
    ["changes"],
    ["overlaps", "node:1", "edge:1"],
    ["lineage", "--id", "1", "--valid", "2022-01-01", "--property", "salary"],
    ["lsn", "--of", "1"],
  ]) {
    const run = await runCli(["graph", ...parameters, "--store", store]);
    assert.is(run.exitCode, 0, run.stderr);
    assert.ok(run.stdout.length > 10);
  }
});

test("after a purge every answer from before its horizon says so, also one that is empty", async () => {
  const { store, lsns } = await makeStore();
  const all = await runJson(["graph", "history", "--store", store, "--id", "1"]);
  const horizon = all.find(({ supersededBy }) => supersededBy === lsns[2])?.["recordedTo"] as number;
  const purge = ["graph", "purge", "--store", store, "--recorded-before", String(horizon)];
  const [purged] = await runJson(purge);
  assert.equal([purged?.["truncatedBefore"], purged?.["purgedVersions"]], [horizon, 2]);
  const ask = (...parameters: string[]) => runJson(["graph", ...parameters, "--store", store]);
  const early = ["--valid", "2020-06-01", "--recorded", `lsn:${lsns[0]}`];
  const mark = { truncatedBefore: horizon };
  assert.equal(await ask("find", ...early), [mark]);
  assert.equal(await ask("diff", "--since-valid", "2020-06-01", "--since-recorded", "lsn:0", ...early), [mark]);
  const [first, ...left] = await ask("history", "--id", "1");
  assert.equal(first, mark);
  assert.equal(
    left,
    all.filter(({ supersededBy }) => supersededBy === null || (supersededBy as number) > (lsns[2] ?? 0)),
  );
  assert.equal(
    (await ask("history", "--id", "1", "--at", "valid")).filter((each) => "truncatedBefore" in each),
    [],
  );
  const missing = await runFailing(["graph", "node", "--store", store, "--id", "1", ...early]);
  assert.equal([missing.code, (missing["details"] as JsonObject)["truncatedBefore"]], ["ERR_GRAPH_NOT_FOUND", horizon]);
  // An early question that is still answered: what it names was in force at the horizon.
  const later = ["--valid", "2021-06-01", "--recorded", `lsn:${lsns[1]}`, "--id", "1"];
  const [node] = await ask("node", ...later);
  assert.equal([node?.["truncatedBefore"], node?.["id"]], [horizon, 1]);
  assert.equal(await ask("neighbors", ...later), [mark]);
  assert.match(
    (await runCli(["graph", "node", "--store", store, ...later])).stdout,
    "was purged: some may be missing\n",
  );
  assert.match((await runCli(["graph", "find", "--store", store, ...early])).stdout, "was purged: some may be missing");
  // From the horizon on everything is as it was.
  for (const parameters of [["find"], ["find", "--recorded", `lsn:${lsns[2]}`], ["neighbors", "--id", "3"]])
    assert.ok((await ask(...parameters)).every((each) => !("truncatedBefore" in each)));

  assert.match((await runCli(purge)).stdout, "0 versions dropped that were superseded at or before ");
  const failing = async (time: string): Promise<unknown> => (await runFailing([...purge.slice(0, -1), time])).code;
  assert.equal([await failing("2000-01-01"), await failing("2200-01-01")], ["ERR_GRAPH_HORIZON", "ERR_GRAPH_HORIZON"]);
  assert.equal([await failing("soon")], ["ERR_USAGE"]);
  assert.is(
    (await runFailing(["graph", "purge", "--store", `${store}-none`, "--recorded-before", "0"])).code,
    "ERR_STORE_NOT_FOUND",
  );
});

test("answers the same after a checkpoint, and after the checkpoint is deleted", async () => {
  const { store } = await makeStore();
  const ask = () => runJson(["graph", "find", "--valid", "2022-01-01", "--store", store]);
  const before = await ask();
  const [saved = {}] = await runJson(["checkpoint", "--store", store]);
  assert.equal(
    (saved["projections"] as JsonObject[]).map((each) => [each["name"], each["lsn"]]),
    [["graph", saved["lsn"]]],
  );
  const log = saved["log"] as JsonObject;
  assert.equal([log["lsn"], log["sealedRecords"], log["segments"]], [saved["lsn"], saved["lsn"], 1]);
  assert.equal(await ask(), before);
  await runJson(["append", "--store", store, "--stream", "s", "--type", "Other"]);
  assert.equal(await ask(), before);
});
