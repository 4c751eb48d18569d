import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { BUGS, type Bug } from "./bugs.js";
import { edited, editedFiles, tryBug } from "./wrong-build.js";

const BUGS_MIN = 12;
const test = suite("zoo/zoo");

test("every bug of the zoo fits the code, once each, under a name of its own", () => {
  assert.ok(BUGS.length >= BUGS_MIN);
  assert.is(new Set(BUGS.map(({ name }) => name)).size, BUGS.length);
  for (const bug of BUGS) assert.ok(editedFiles(bug).size > 0);
});

test("an edit that fits nowhere, or in two places, is refused", () => {
  assert.is(edited("a b c", { file: "f", find: "b", replace: "x" }), "a x c");
  assert.throws(() => edited("a b b", { file: "f", find: "b", replace: "x" }));
  assert.throws(() => edited("a", { file: "f", find: "b", replace: "x" }));
});

test(
  "a wrong build is caught, and the right one is not",
  async () => {
    const bug = BUGS.find(({ name }) => name === "body-not-checked") as Bug;
    assert.ok((await tryBug(bug)).isCaught);
    const none = { ...bug, name: "none", edits: [] };
    const { isCaught, said } = await tryBug(none);
    assert.ok(!isCaught, said);
  },
  { timeoutMs: 120_000 },
);
