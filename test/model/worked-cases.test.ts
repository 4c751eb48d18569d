/** docs/bitemporal.md is true: its events, put to the graph and to the naive model, give its answers, its refusals and its pictures. */

import { GraphState } from "../../src/projections/graph/graph-state.js";
import { rawEvent } from "../projections/graph/raw-events.js";
import { chance } from "../simulation/chance.js";
import { assert } from "../support/assert.js";
import { readProjectFile } from "../support/source-file.js";
import { suite } from "../support/suite.js";
import { Comparison } from "./compare.js";
import { NaiveGraph } from "./naive-graph.js";
import { pictureOf } from "./picture.js";
import { contentText, type Question, type WorkedCase, workedCases } from "./worked-cases.js";

const test = suite("model/worked-cases");

const cases = workedCases(readProjectFile("docs/bitemporal.md") ?? "");
const CASES = 21;
const clock = (): number => Number.MIN_SAFE_INTEGER;

test("every case of the page was read", () => {
  assert.equal(
    cases.map(({ title }) => Number.parseInt(title, 10)),
    Array.from({ length: CASES }, (_, index) => index + 1),
  );
  for (const { title, events, questions, pictures } of cases)
    assert.ok(events.length > 1 && questions.length > 5 && pictures.length > 0, title);
});

for (const each of cases) {
  test(`${each.title}: the graph says what the page says`, () => {
    const state = stateOf(each);
    for (const [index, { lsn }] of each.events.entries())
      assert.is(state.rejectionAt(lsn)?.code ?? "", each.outcomes[index], `LSN ${lsn}`);
    for (const question of each.questions) assert.is(answerOf(state, each, question), question.answer, question.text);
    for (const { name, text } of each.pictures) {
      const { kind, id } = entityOf(each, name);
      const rectangles = kind === "node" ? state.history("node", id).toArray() : state.history("edge", id).toArray();
      const drawn = pictureOf(rectangles, (time) => each.timeTexts.get(time) ?? `${time}`);
      assert.is(text, drawn, `the picture of ${name} is:\n${drawn}`);
    }
  });
}

test("the naive model says the same about every case", () => {
  for (const each of cases) {
    const model = new NaiveGraph();
    for (const event of each.events) model.apply(event);
    const ids = (kind: "node" | "edge"): number[] =>
      [...each.entities.values()].filter((one) => one.kind === kind).map(({ id }) => id);
    const subjects = {
      nodeIds: ids("node"),
      edgeIds: ids("edge"),
      nodeLabels: ["Person"],
      edgeLabels: ["KNOWS"],
      keys: ["n"],
    };
    const state = stateOf(each);
    const comparison = new Comparison(state, state.chronicle, model, subjects, chance(1, each.title));
    comparison.state();
    comparison.histories(clock());
    for (const { validAt, recordedAt } of each.questions)
      comparison.view(...comparison.views({ validAt, recordedAt }, clock()), recordedAt);
  }
});

function stateOf({ events }: WorkedCase): GraphState {
  const state = new GraphState({ clock });
  for (const event of events) state.apply(rawEvent(event));
  return state;
}

function entityOf({ entities, title }: WorkedCase, name: string): { kind: "node" | "edge"; id: number } {
  const entity = entities.get(name);
  if (entity === undefined) throw new Error(`${title}: nothing is called ${name}`);
  return entity;
}

function answerOf(
  state: GraphState,
  each: WorkedCase,
  { form, subject, where, validAt, recordedAt }: Question,
): string {
  const view = state.asOf({ validAt, recordedAt });
  if (form === "find") return namesOf(each, "node", view.find({ label: subject, where }));
  const { kind, id } = entityOf(each, subject);
  if (form === "edges") return namesOf(each, "edge", view.edges(id));
  if (form === "neighbours") return namesOf(each, "node", view.neighbors(id));
  return contentText(kind === "node" ? view.node(id) : view.edge(id));
}

function namesOf({ entities }: WorkedCase, kind: "node" | "edge", found: Iterable<{ readonly id: number }>): string {
  const ids = new Set(Array.from(found, ({ id }) => id));
  const names = [...entities].filter(([, entity]) => entity.kind === kind && ids.has(entity.id)).map(([name]) => name);
  return names.length === 0 ? "none" : names.join(", ");
}
