import type { SubgraphQuery } from "../../../src/projections/graph/subgraph.js";
import { assert } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { DIRECTIONS, distancesFrom, randomGraph, someLabel } from "./random-graph.js";

const test = suite("projections/graph/subgraph");
const random = seededRandom();

test("has every node within so many hops, and every edge between two of them", () => {
  for (let round = 0; round < 20; round += 1) {
    const graph = randomGraph(random, 24, 50);
    for (const start of graph.nodeIds) {
      const query: SubgraphQuery = {
        hops: 1 + random.integer(3),
        direction: random.pick(DIRECTIONS),
        ...someLabel(random),
        ...random.pick([{}, { nodeLabel: "Place" }]),
      };
      const distances = distancesFrom(graph, start, query.direction ?? "both", query.label, (node) => {
        return query.nodeLabel === undefined || node.label === query.nodeLabel;
      });
      const near = [...distances].flatMap(([id, depth]) => (depth <= query.hops ? [id] : []));
      const found = graph.view.subgraph(start, query);
      assert.equal(found.nodes.map(({ id }) => id).sort(), near.sort());
      assert.is(found.complete, true);
      const between = graph.edges.filter(
        ({ source, target, label }) =>
          near.includes(source) && near.includes(target) && (query.label === undefined || label === query.label),
      );
      assert.equal(found.edges.map(({ id }) => id).sort(), between.map(({ id }) => id).sort());
      const limit = 1 + random.integer(6);
      const few = graph.view.subgraph(start, { ...query, limit });
      assert.equal(few.nodes, found.nodes.slice(0, limit));
      assert.is(few.complete, found.nodes.length <= limit);
      const ids = few.nodes.map(({ id }) => id);
      assert.ok(few.edges.every(({ source, target }) => ids.includes(source) && ids.includes(target)));
    }
  }
});

test("is empty around what does not exist, and needs a number of hops", () => {
  const { view } = randomGraph(random, 3, 3);
  assert.equal(view.subgraph(99_999, { hops: 2 }), { nodes: [], edges: [], complete: true });
  for (const query of [{}, { hops: 0 }, { hops: 1, limit: 0 }, { hops: 1, depth: 1 }, null]) {
    assert.throws(
      () => view.subgraph(1, query as SubgraphQuery),
      (error: Error) => error instanceof TypeError,
    );
  }
});
