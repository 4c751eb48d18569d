import type { PathQuery } from "../../../src/projections/graph/shortest-path.js";
import { assert } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { DIRECTIONS, distancesFrom, randomGraph, someLabel } from "./random-graph.js";

const test = suite("projections/graph/shortest-path");
const random = seededRandom();

test("a path is as long as the distance, and each of its edges leads from one node to the next", () => {
  let found = 0;
  for (let round = 0; round < 20; round += 1) {
    const graph = randomGraph(random, 20, 30);
    const { view, nodeIds } = graph;
    for (const from of nodeIds) {
      const query: PathQuery = { direction: random.pick(DIRECTIONS), ...someLabel(random) };
      const distances = distancesFrom(graph, from, query.direction ?? "both", query.label);
      for (const to of nodeIds) {
        const path = view.shortestPath(from, to, query);
        const distance = distances.get(to);
        assert.is(path?.edges.length, distance, `${from} → ${to} ${JSON.stringify(query)}`);
        if (path === null || distance === undefined) continue;
        found += 1;
        assert.equal([path.nodes[0]?.id, path.nodes.at(-1)?.id, path.nodes.length], [from, to, distance + 1]);
        for (const [index, edge] of path.edges.entries()) {
          const ends = [path.nodes[index]?.id, path.nodes[index + 1]?.id];
          const along = edge.source === ends[0] && edge.target === ends[1];
          const against = edge.target === ends[0] && edge.source === ends[1];
          assert.ok((query.direction !== "in" && along) || (query.direction !== "out" && against));
          if (query.label !== undefined) assert.is(edge.label, query.label);
        }
        if (distance > 0) {
          assert.equal(view.shortestPath(from, to, { ...query, maxDepth: distance }), path);
          if (distance > 1) assert.is(view.shortestPath(from, to, { ...query, maxDepth: distance - 1 }), null);
        }
      }
    }
  }
  assert.ok(found > 100);
});

test("to itself a node has the empty path, and to what does not exist there is none", () => {
  const { view, nodes } = randomGraph(random, 8, 8);
  const [first] = nodes;
  assert.equal(view.shortestPath(first?.id ?? 0, first?.id ?? 0), { nodes: [first], edges: [] });
  assert.is(view.shortestPath(first?.id ?? 0, 55_555), null);
  assert.is(view.shortestPath(55_555, 55_555), null);
  assert.is(view.shortestPath(first?.id ?? 0, first?.id ?? 0, { label: "NOBODY" })?.edges.length, 0);
});

test("bad ids and options are refused by name", () => {
  const { view } = randomGraph(random, 2, 1);
  const message = (work: () => unknown): string => {
    try {
      work();
    } catch (error) {
      if (error instanceof TypeError) return error.message;
    }
    return "";
  };
  assert.is(
    message(() => view.shortestPath(0, 1)),
    "fromId must be a positive safe integer, not 0",
  );
  assert.is(
    message(() => view.shortestPath(1, 1.5)),
    "toId must be a positive safe integer, not 1.5",
  );
  assert.is(
    message(() => view.shortestPath(1, 2, { maxDepth: 0 })),
    "maxDepth must be a positive safe integer, not 0",
  );
  assert.is(
    message(() => view.shortestPath(1, 2, { via: 3 } as object)),
    'shortestPath: unknown option "via"',
  );
});
