import type { GraphMatch, MatchRow } from "../../../src/projections/graph/graph-match.js";
import { assert, rejects } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { DIRECTIONS, EDGE_LABELS, NODE_LABELS, randomGraph, type ShownGraph, stepsFrom } from "./random-graph.js";

const test = suite("projections/graph/graph-match");
const random = seededRandom();

interface Wanted {
  readonly label?: string;
  readonly color?: string;
}

interface Step extends Wanted {
  readonly direction: "out" | "in" | "both";
  readonly edge?: string;
}

const textOf = ({ nodes, edges }: MatchRow) =>
  nodes.map(({ id }, at) => (at === 0 ? `${id}` : `-${edges[at - 1]?.id}-${id}`)).join("");

/** Every way, by trying all edges of the list for each step. */
function naiveRows(graph: ShownGraph, start: Wanted, steps: readonly Step[]): string[] {
  const isWanted = (id: number, { label, color }: Wanted): boolean => {
    const node = graph.nodes.find((each) => each.id === id);
    return (
      node !== undefined &&
      (label === undefined || node.label === label) &&
      (color === undefined || node.properties["color"] === color)
    );
  };
  let ways: { text: string; at: number; used: number[] }[] = graph.nodes
    .filter(({ id }) => isWanted(id, start))
    .map(({ id }) => ({ text: `${id}`, at: id, used: [] }));
  for (const step of steps) {
    ways = ways.flatMap(({ text, at, used }) =>
      stepsFrom(graph, at, step.direction, step.edge).flatMap((edge) => {
        const other = edge.source === at ? edge.target : edge.source;
        if (used.includes(edge.id) || !isWanted(other, step)) return [];
        return [{ text: `${text}-${edge.id}-${other}`, at: other, used: [...used, edge.id] }];
      }),
    );
  }
  return ways.map(({ text }) => text);
}

function narrowed(match: GraphMatch, { label, color }: Wanted): GraphMatch {
  const labelled = label === undefined ? match : match.label(label);
  return color === undefined ? labelled : labelled.where({ color });
}

function someWanted(): Wanted {
  return random.pick([
    {},
    {},
    { label: random.pick(NODE_LABELS) },
    { color: "red" },
    { label: "Person", color: "blue" },
  ]);
}

test("rows are all ways through the pattern, each once", () => {
  let found = 0;
  for (let round = 0; round < 60; round += 1) {
    const graph = randomGraph(random, 16, 40);
    const start = someWanted();
    const steps = Array.from({ length: random.integer(4) }, (): Step => {
      const edge = random.integer(2) === 0 ? {} : { edge: random.pick(EDGE_LABELS) };
      return { ...someWanted(), ...edge, direction: random.pick(DIRECTIONS) };
    });
    const match = steps.reduce(
      (before, step) => {
        return narrowed(before[step.direction](step.edge), step);
      },
      narrowed(graph.view.match(), start),
    );
    const rows = [...match];
    found += rows.length;
    assert.equal(rows.map(textOf).sort(), naiveRows(graph, start, steps).sort(), JSON.stringify([start, ...steps]));
    assert.equal([...match.limit(3)], rows.slice(0, 3));
    const ends = rows.map(({ nodes }) => nodes.at(-1)?.id);
    assert.equal(
      Array.from(match.ends(), ({ id }) => id),
      [...new Set(ends)],
    );
    assert.equal([...match.limit(2).ends()].length, Math.min(2, new Set(ends).size));
    const from = random.pick(graph.nodeIds);
    assert.equal(
      [...match.from(from)],
      rows.filter(({ nodes }) => nodes[0]?.id === from),
    );
  }
  assert.ok(found > 100);
});

test("a pattern is not changed by what is built from it, and rows come one at a time", () => {
  const { view, nodes, edges } = randomGraph(random, 20, 40);
  const all = view.match();
  const red = all.where({ color: "red" });
  const people = red.label("Person");
  assert.is([...all].length, nodes.length);
  assert.ok([...red].length >= [...people].length);
  assert.is([...all.out()].length, edges.length);
  const rows = all.out()[Symbol.iterator]();
  const first = rows.next().value as MatchRow;
  assert.equal([first.nodes.length, first.edges.length], [2, 1]);
  rows.return();
  assert.equal([...all.from(99_999)], []);
  const both = people.where({ color: "red" });
  assert.equal([...both], [...people]);
  assert.throws(() => people.where({ color: "blue" }), /color/);
});

test("what makes no sense is refused while the pattern is built", async () => {
  const { view } = randomGraph(random, 2, 1);
  const match = view.match();
  for (const [work, message] of [
    [() => match.label(""), "label must be a non-empty string of well-formed text"],
    [() => match.label("A").label("B"), 'label: the node has the label "A" already'],
    [() => match.out(7 as unknown as string), "label must be a non-empty string of well-formed text"],
    [() => match.where(null as unknown as object as never), "where must be an object"],
    [() => match.limit(0), "limit must be a positive safe integer, not 0"],
    [() => match.from(1.5), "id must be a positive safe integer, not 1.5"],
  ] as const) {
    await rejects(work, (error) => error instanceof TypeError && error.message === message);
  }
  await rejects(() => match.where({ a: new Date(0) as never }), "ERR_GRAPH_INVALID_PROPERTY");
});
