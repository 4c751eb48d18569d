import { GraphState } from "../../../src/projections/graph/graph-state.js";
import type { PageRankQuery } from "../../../src/projections/graph/page-rank.js";
import { assert } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { randomGraph, type ShownGraph, someLabel } from "./random-graph.js";

const test = suite("projections/graph/page-rank");
const random = seededRandom();

/** By the definition: the share of each node after so many rounds of the whole matrix. */
function naiveRanks(
  { nodes, edges }: ShownGraph,
  damping: number,
  rounds: number,
  label?: string,
): Map<number, number> {
  const followed = edges.filter((edge) => label === undefined || edge.label === label);
  let ranks = new Map(nodes.map(({ id }) => [id, 1 / nodes.length]));
  for (let round = 0; round < rounds; round += 1) {
    const next = new Map(nodes.map(({ id }) => [id, (1 - damping) / nodes.length]));
    for (const { id } of nodes) {
      const out = followed.filter(({ source }) => source === id).map(({ target }) => target);
      const targets = out.length === 0 ? nodes.map((node) => node.id) : out;
      for (const target of targets) {
        next.set(target, (next.get(target) ?? 0) + (damping * (ranks.get(id) ?? 0)) / targets.length);
      }
    }
    ranks = next;
  }
  return ranks;
}

test("ranks are those of the definition, and sum to 1", () => {
  for (let round = 0; round < 20; round += 1) {
    const graph = randomGraph(random, 20, 40);
    const query = { damping: random.integer(10) / 10, iterations: 1 + random.integer(20), ...someLabel(random) };
    const ranks = graph.view.pageRank({ ...query, tolerance: 0 });
    assert.is(ranks.iterations, query.iterations);
    const expected = naiveRanks(graph, query.damping, query.iterations, query.label);
    const found = [...ranks];
    assert.is(found.length, graph.nodes.length);
    for (const { id, rank } of found) {
      assert.ok(Math.abs(rank - (expected.get(id) ?? 0)) < 1e-12, `${id}: ${rank} ${expected.get(id)}`);
      assert.is(ranks.of(id), rank);
    }
    assert.ok(Math.abs(found.reduce((sum, { rank }) => sum + rank, 0) - 1) < 1e-12);
    assert.equal(
      found,
      found.toSorted((a, b) => b.rank - a.rank),
    );
    assert.equal(ranks.top(3), found.slice(0, 3));
    assert.is(ranks.top(1000).length, found.length);
  }
});

test("ends when a round changes no more than the tolerance, and says so", () => {
  const { view } = randomGraph(random, 30, 90);
  const ranks = view.pageRank({ tolerance: 1e-4 });
  assert.ok(ranks.converged && ranks.change <= 1e-4 && ranks.iterations < 100);
  assert.equal([...view.pageRank({ tolerance: 1e-4 })], [...ranks]);
  const few = view.pageRank({ iterations: 1, tolerance: 1e-12 });
  assert.equal([few.converged, few.iterations], [false, 1]);
  assert.is(ranks.of(123_456), undefined);
});

test("an empty view has no ranks", () => {
  const ranks = new GraphState().asOf().pageRank();
  assert.equal([[...ranks], ranks.iterations, ranks.converged, ranks.of(1)], [[], 0, true, undefined]);
});

test("options that make no sense are refused by name", () => {
  const { view } = randomGraph(random, 2, 1);
  for (const [query, message] of [
    [{ damping: 1 }, "damping must be a number from 0 to below 1, not 1"],
    [{ damping: Number.NaN }, "damping must be a number from 0 to below 1, not NaN"],
    [{ tolerance: -1 }, "tolerance must be a number from 0 to below 1, not -1"],
    [{ iterations: 0 }, "iterations must be a positive safe integer, not 0"],
    [{ iterations: 10_001 }, "iterations must be at most 10000"],
    [{ rounds: 1 }, 'pageRank: unknown option "rounds"'],
  ] as const) {
    assert.throws(
      () => view.pageRank(query as PageRankQuery),
      (error: Error) => {
        return error instanceof TypeError && error.message === message;
      },
    );
  }
});
