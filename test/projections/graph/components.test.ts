import { assert } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { distancesFrom, randomGraph, someLabel } from "./random-graph.js";

const test = suite("projections/graph/components");
const random = seededRandom();

test("two nodes are in one component exactly when one can be reached from the other", () => {
  let several = 0;
  for (let round = 0; round < 40; round += 1) {
    const graph = randomGraph(random, 30, 5 + random.integer(30));
    const query = someLabel(random);
    const found = Array.from(graph.view.components(query), ({ nodes }) => [...nodes]);
    assert.equal(found.flat().sort(), graph.nodes.map(({ id }) => id).sort());
    for (const component of found) {
      const [first = 0] = component;
      assert.equal([...distancesFrom(graph, first, "both", query.label).keys()].sort(), component.toSorted());
      const created = component.map((id) => graph.nodeIds.indexOf(id));
      assert.equal(
        created,
        created.toSorted((a, b) => a - b),
      );
    }
    const keys = found.map((nodes) => [nodes.length, graph.nodeIds.indexOf(nodes[0] ?? 0)] as const);
    assert.equal(
      keys,
      keys.toSorted((a, b) => b[0] - a[0] || a[1] - b[1]),
    );
    assert.equal(
      Array.from(graph.view.components({ ...query, limit: 2 }), ({ nodes }) => nodes),
      found.slice(0, 2),
    );
    if (found.length > 2) several += 1;
  }
  assert.ok(several > 5);
});

test("an edge label that nothing bears leaves every node alone, and bad options are refused", () => {
  const { view, nodes } = randomGraph(random, 10, 20);
  assert.equal(
    Array.from(view.components({ label: "NOBODY" }), (each) => each.nodes),
    nodes.map(({ id }) => [id]),
  );
  for (const query of [{ limit: 0 }, { label: 1 }, { size: 1 }, null]) {
    assert.throws(
      () => view.components(query as object),
      (error: Error) => error instanceof TypeError,
    );
  }
});
