import { join } from "node:path";
import { openStore } from "../../src/index.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { type JsonObject, runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/graph export");

const NASTY = 'a "b" \\n <c> & d,\r\ne\tf\0 \u0007 ü🙂';

async function makeStore(): Promise<string> {
  const directory = join(temporaryDirectory(), "store");
  await using store = await openStore(directory);
  const graph = await store.graph();
  const node = async (label: string, properties: Record<string, string | number | boolean | null | Uint8Array>) =>
    (await graph.createNode({ label, properties, validFrom: 0 })).id;
  const a = await node("Person", { text: NASTY, n: 1, mixed: 1, label: "own", flag: true, none: null });
  const b = await node('La"bel\n', {
    n: 0.5,
    mixed: "x",
    bytes: Uint8Array.of(1, 2),
    [NASTY]: Number.NEGATIVE_INFINITY,
  });
  const gone = await node("Gone", {});
  await graph.createEdge({
    label: "KNOWS",
    source: a,
    target: b,
    properties: { since: 5 },
    validFrom: 0,
    validTo: 2e15,
  });
  await graph.createEdge({ label: "KNOWS", source: b, target: b, validFrom: 0 });
  await graph.createEdge({ label: "KNOWS", source: b, target: gone, validFrom: 0 });
  await graph.deleteNode(gone, { validFrom: 1, detach: true });
  return directory;
}

const AT = ["--valid", "1000"];

async function exported(store: string, format: string): Promise<string> {
  const run = await runCli(["graph", "export", "--format", format, ...AT, "--store", store]);
  assert.equal([run.exitCode, run.stderr], [0, ""]);
  return run.stdout;
}

/** RFC 4180, character by character. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [[""]];
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] as string;
    const row = rows.at(-1) as string[];
    const append = (more: string) => row.push(`${row.pop()}${more}`);
    if (quoted && character === '"' && text[at + 1] === '"') {
      append('"');
      at += 1;
    } else if (character === '"') quoted = !quoted;
    else if (!quoted && character === ",") row.push("");
    else if (!quoted && character === "\n") rows.push([""]);
    else append(character);
  }
  assert.equal(rows.pop(), [""], "the last line ends");
  return rows;
}

test("CSV is read back as what there is, whatever text holds", async () => {
  const store = await makeStore();
  const [header = [], ...rows] = parseCsv(await exported(store, "csv"));
  assert.is(header.join(), "kind,id,label,source,target,validFrom,validTo,recordedFrom,recordedTo,properties");
  const entities = await runJson(["graph", "export", ...AT, "--store", store]);
  assert.is(entities.length, 4);
  assert.equal(
    rows.map((row) => Object.fromEntries(header.map((name, column) => [name, row[column]]))),
    entities.map((entity) =>
      Object.fromEntries(
        header.map((name) => [name, name === "properties" ? JSON.stringify(entity[name]) : String(entity[name] ?? "")]),
      ),
    ),
  );
  const [first = {}] = entities;
  assert.is((first["properties"] as JsonObject)["text"], NASTY);
});

test("DOT has every node and edge, with text that Graphviz shows as it is", async () => {
  const store = await makeStore();
  const lines = (await exported(store, "dot")).split("\n");
  assert.equal([lines[0], lines.at(-2), lines.at(-1)], ["digraph varve {", "}", ""]);
  assert.is(
    lines[1],
    '  n1 [label="Person 1\\ntext: a \\"b\\" \\\\n <c> &amp; d,\\ne\tf\ufffd \u0007 ü🙂\\nn: 1\\nmixed: 1\\nlabel: own\\nflag: true\\nnone: null"];',
  );
  assert.ok(lines[2]?.startsWith('  n2 [label="La\\"bel\\n 2\\nn: 0.5\\nmixed: x\\nbytes: AQI='));
  assert.equal(lines.slice(3, -2), ['  n1 -> n2 [label="KNOWS 1\\nsince: 5"];', '  n2 -> n2 [label="KNOWS 2"];']);
});

/** The text that XML's five entities and numbers of characters stand for. */
function unescaped(text: string): string {
  const named: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"' };
  return text.replaceAll(/&(?:#(\d+)|(\w+));/g, (_, code, name) => named[name] ?? String.fromCodePoint(Number(code)));
}

test("GraphML declares each property with its type, and escapes what XML cannot hold", async () => {
  const store = await makeStore();
  const xml = await exported(store, "graphml");
  const lines = xml.split("\n");
  assert.ok(lines[0]?.startsWith("<?xml "));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what XML cannot hold is looked for
  assert.not.match(xml.replaceAll("\n", ""), /[\u0000-\u001f]/);
  assert.not.match(xml, /&(?!(amp|lt|gt|quot|#\d+);)/);
  const keys = new Map(
    Array.from(xml.matchAll(/<key id="([^"]+)" for="(\w+)" attr.name="([^"]*)" attr.type="(\w+)"\/>/g), (key) => {
      const [, id = "", kind = "", name = "", type = ""] = key;
      return [id, `${kind} ${unescaped(name)} ${type}`];
    }),
  );
  const readable = NASTY.replaceAll("\0", "\ufffd").replaceAll("\u0007", "\ufffd");
  assert.equal(
    [...keys.values()],
    [
      "node label string",
      "node validFrom long",
      "node validTo long",
      "node text string",
      "node n double",
      "node mixed string",
      "node property.label string",
      "node flag boolean",
      "node bytes string",
      `node ${readable} double`,
      "edge label string",
      "edge validFrom long",
      "edge validTo long",
      "edge since long",
    ],
  );
  const dataOf = (line: string | undefined) =>
    Array.from(line?.matchAll(/<data key="([^"]+)">([^<]*)<\/data>/g) ?? [], ([, id = "", text = ""]) => {
      return `${keys.get(id)?.split(" ").slice(1, -1).join(" ")}=${unescaped(text)}`;
    });
  const nodes = lines.filter((line) => line.startsWith("<node "));
  assert.equal(dataOf(nodes[0]), [
    "label=Person",
    "validFrom=0",
    `text=${readable}`,
    "n=1",
    "mixed=1",
    "property.label=own",
    "flag=true",
  ]);
  assert.equal(dataOf(nodes[1]).slice(0, 5), ['label=La"bel\n', "validFrom=0", "n=0.5", "mixed=x", "bytes=AQI="]);
  assert.equal(dataOf(nodes[1]).at(-1), `${readable}=-INF`);
  const edges = lines.filter((line) => line.startsWith("<edge "));
  assert.equal(
    edges.map((line) => line.slice(0, line.indexOf(">"))),
    ['<edge id="e1" source="n1" target="n2"', '<edge id="e2" source="n2" target="n2"'],
  );
  assert.equal(dataOf(edges[0]), ["label=KNOWS", "validFrom=0", "validTo=2000000000000000", "since=5"]);
  assert.equal(lines.slice(-3), ["</graph>", "</graphml>", ""]);
});

test("an empty view is a whole file, and a format must be named", async () => {
  const store = await makeStore();
  const empty = async (format: string) =>
    (await runCli(["graph", "export", "--format", format, "--recorded", "lsn:0", "--store", store])).stdout;
  assert.is(await empty("dot"), "digraph varve {\n}\n");
  assert.is((await empty("csv")).split("\n").length, 2);
  assert.match(await empty("graphml"), /<\/graphml>\n$/);
  const failure = await runFailing(["graph", "export", "--format", "dot", "--store", store]);
  assert.is(failure.code, "ERR_USAGE");
  assert.match((await runCli(["graph", "export", "--store", store])).stderr, "say either --format or --json");
  assert.is((await runFailing(["graph", "export", "--format", "svg", "--store", store])).code, "ERR_USAGE");
});

test("behind a purge the file stays one of its format, and stderr says what may be missing", async () => {
  const store = await makeStore();
  {
    await using open = await openStore(store);
    const graph = await open.graph();
    await graph.purge({ recordedBefore: graph.recordedAtOf(graph.lsn) ?? 0 });
  }
  const early = ["graph", "export", "--recorded", "lsn:1", "--store", store];
  const run = await runCli([...early, "--format", "csv"]);
  assert.is(run.stdout.split("\n").length, 2);
  assert.match(run.stderr, "was purged: some may be missing");
  assert.ok("truncatedBefore" in ((await runJson(early))[0] ?? {}));
});
