import type { TraverseQuery } from "../../../src/projections/graph/traversal.js";
import { assert } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { DIRECTIONS, distancesFrom, randomGraph, someLabel, stepsFrom } from "./random-graph.js";

const test = suite("projections/graph/traversal");
const random = seededRandom();

test("walks only over nodes that match, and counts the edges at each", () => {
  for (let round = 0; round < 20; round += 1) {
    const graph = randomGraph(random, 24, 60);
    for (const start of graph.nodeIds) {
      const direction = random.pick(DIRECTIONS);
      const edges = someLabel(random);
      const maxDepth = 1 + random.integer(6);
      const nodes = random.pick([{}, { nodeLabel: "Person" }, { where: { color: "red" } }]);
      const query: TraverseQuery = { direction, maxDepth, ...edges, ...nodes };
      const expected = distancesFrom(graph, start, direction, edges.label, (node) =>
        "nodeLabel" in query ? node.label === "Person" : !("where" in query) || node.properties["color"] === "red",
      );
      expected.delete(start);
      const steps = [...graph.view.traverse(start, query)];
      assert.equal(
        steps.map(({ id, depth }) => `${depth} ${id}`).sort(),
        [...expected].flatMap(([id, depth]) => (depth <= maxDepth ? [`${depth} ${id}`] : [])).sort(),
        JSON.stringify(query),
      );
      assert.equal([...graph.view.traverse(start, { ...query, limit: 3 })], steps.slice(0, 3));
      const degree = graph.nodes.some(({ id }) => id === start)
        ? stepsFrom(graph, start, direction, edges.label).length
        : 0;
      assert.is(graph.view.degree(start, { direction, ...edges }), degree);
    }
  }
});

test("a walk without a bound, or with an unknown option, is refused before it begins", () => {
  const { view } = randomGraph(random, 4, 4);
  for (const [query, message] of [
    [{}, "maxDepth must be a positive safe integer, not undefined"],
    [{ maxDepth: Number.POSITIVE_INFINITY }, "maxDepth must be a positive safe integer, not Infinity"],
    [{ maxDepth: 0 }, "maxDepth must be a positive safe integer, not 0"],
    [{ maxDepth: 1, limit: 0 }, "limit must be a positive safe integer, not 0"],
    [{ maxDepth: 1, nodeLabel: "" }, "label must be a non-empty string of well-formed text"],
    [{ maxDepth: 1, where: [] }, "where must be an object"],
    [{ maxDepth: 1, deep: 1 }, 'traverse: unknown option "deep"'],
    [{ maxDepth: 1, direction: "up" }, 'direction must be "out" or "in" or "both"'],
  ] as const) {
    assert.throws(
      () => view.traverse(1, query as unknown as TraverseQuery),
      (error: Error) => {
        return error instanceof TypeError && error.message === message;
      },
    );
  }
  assert.throws(() => view.degree(0), TypeError);
  assert.throws(() => view.degree(1, { labels: "x" } as object), /unknown option "labels"/);
  assert.is(view.degree(77_777), 0);
});
