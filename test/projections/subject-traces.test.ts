import { isSubjectTrace, SubjectTraces, TRACED_KEYS_MAX, traces } from "../../src/projections/subject-traces.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("projections/subject-traces");

test("it knows each key once, and is what it was when it comes back from a checkpoint", () => {
  const kept = new SubjectTraces([]);
  assert.equal(kept.trace, []);
  for (const id of ["a", "b", "a"]) kept.add(id);
  assert.equal(kept.trace, ["a", "b"]);
  const again = new SubjectTraces(JSON.parse(JSON.stringify(kept.trace)));
  assert.ok(again.hasAny(["x", "b"]));
  assert.not.ok(again.hasAny(["x"]));
  assert.not.ok(again.hasAny([]));
  assert.ok(traces(kept.trace, (id) => id === "b"));
  assert.not.ok(traces(kept.trace, (id) => id === "x"));
});

test("above the limit every forgetting counts", () => {
  const kept = new SubjectTraces([]);
  for (let index = 0; index < TRACED_KEYS_MAX; index++) kept.add(String(index));
  kept.add("0");
  assert.is(kept.trace.length, TRACED_KEYS_MAX);
  assert.not.ok(kept.hasAny(["x"]));
  kept.add("one more");
  assert.is(kept.trace, "many");
  assert.ok(kept.hasAny(["x"]));
  kept.add("and another");
  assert.ok(new SubjectTraces("many").hasAny(["x"]));
  assert.ok(traces("many", () => false));
});

test("what is no trace is told from one", () => {
  for (const trace of ["many", [], ["a"]]) assert.ok(isSubjectTrace(trace));
  for (const other of ["few", null, undefined, [7], { a: 1 }, 7]) assert.not.ok(isSubjectTrace(other));
});
