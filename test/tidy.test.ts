/** Our own rules, as a test: what the linter cannot see. The rules are in support/, and are themselves tested here. */

import { STORE_ERROR_CODES } from "../src/errors.js";
import { assert } from "./support/assert.js";
import { errorCodesOf } from "./support/error-table.js";
import { complaints } from "./support/house-rules.js";
import {
  countCodeLines,
  readProjectFile,
  referencedFiles,
  type SourceFile,
  sourceFiles,
} from "./support/source-file.js";
import { suite } from "./support/suite.js";

// A file below this is plain enough to be tested with what uses it.
const UNTESTED_CODE_LINES_MAX = 40;

const test = suite("tidy");
const readmeCodes = errorCodesOf(readProjectFile("README.md") ?? "");

test("src keeps the house rules", () => {
  assert.equal(sourceFiles("src").flatMap(complaints), []);
});

test("every house rule catches what it is for, and lets its exceptions pass", () => {
  const at = (path: string, text: string): number => complaints({ path, text }).length;
  for (const bad of [
    "// TODO: later",
    "/* FIXME */",
    "console.log(1);",
    "process.exit(1);",
    "let a: any;",
    "f(a as any)",
    "const m = new Map<string, any>();",
    "type A = string | any;",
    "// @ts-ignore",
    "debugger;",
    "Math.random()",
    "Atomics.wait(words, 0, 0);",
    "class Ring extends EventEmitter {",
  ]) {
    assert.is(at("src/wal/format.ts", `const before = 1;\n${bad}\n`), 1, bad);
  }
  for (const fine of [
    '/** Or "any": any version will do. */',
    'expected: "any" | "exists"',
    `help("a stream's name, any number of times")`,
    "// console.log is for the command line",
    "class StoreError extends Error {",
    "class Ring<Lease extends object> {",
  ]) {
    assert.is(at("src/wal/format.ts", `${fine}\n`), 0, fine);
  }
  const thrown = (error: string): string => `try { f(); } catch (error) {\n  if (g()) {\n    throw ${error};\n  }\n}\n`;
  assert.is(at("src/wal/format.ts", thrown('new StoreError("ERR_WAL_FULL", format("full"))')), 1);
  assert.is(at("src/wal/format.ts", thrown('new StoreError("ERR_WAL_FULL", "full", {}, { cause: error })')), 0);
  assert.is(at("src/wal/format.ts", `${thrown("error")}throw new Error("outside of it");\n`), 0);
  assert.is(at("src/cli/main.ts", "console.log(1); process.exit(1);"), 0);
  assert.is(at("src/projections/row-ring.ts", "Atomics.wait(words, 0, 0);"), 0);
  assert.is(at("src/wal/utils.ts", ""), 1);
  assert.is(at("src/wal/common/format.ts", ""), 1);
  assert.equal(complaints({ path: "src/a.ts", text: "/**\n * b\n */\ndebugger;" }), [
    'src/a.ts:4: "debugger": instead, nothing',
  ]);
});

test(`every file of src with more than ${UNTESTED_CODE_LINES_MAX} lines of code is tested`, () => {
  assert.equal(untested(sourceFiles("src"), sourceFiles("test")), []);
});

test("a file counts as tested by its mirror, by an import, or within its layer through a file that is tested", () => {
  const long = "const line = 1;\n".repeat(UNTESTED_CODE_LINES_MAX + 1);
  const src = [
    { path: "src/wal/mirrored.ts", text: `import "./below.js";\nimport "../ffi/ring.js";\n${long}` },
    { path: "src/wal/below.ts", text: long },
    { path: "src/wal/imported.ts", text: long },
    { path: "src/wal/forgotten.ts", text: long },
    { path: "src/wal/short.ts", text: "const line = 1;" },
    { path: "src/ffi/ring.ts", text: long },
  ];
  const tests = [
    { path: "test/wal/mirrored.test.ts", text: "" },
    { path: "test/crash/kill.test.ts", text: 'import { a } from "../../src/wal/imported.js";' },
  ];
  assert.equal(untested(src, tests), ["src/wal/forgotten.ts", "src/ffi/ring.ts"]);
});

if (readmeCodes === null) {
  test.skip("README § Errors lists exactly the codes of src/errors.ts", "README.md has no section Errors yet");
  test.skip("every error code is used", "README.md has no section Errors yet");
} else {
  test("README § Errors lists exactly the codes of src/errors.ts", () => {
    assert.equal([...readmeCodes].sort(), Object.keys(STORE_ERROR_CODES).sort());
  });

  test("every error code is used", () => {
    const used = sourceFiles("src").filter((file) => file.path !== "src/errors.ts");
    const unused = Object.keys(STORE_ERROR_CODES).filter(
      (code) => !used.some((file) => file.text.includes(`"${code}"`)),
    );
    assert.equal(unused, []);
  });
}

test("the error table is read from its own section only", () => {
  const markdown = [
    "# Varve",
    "| `ERR_BEFORE` | no |",
    "## Errors",
    "| code | meaning |",
    "|---|---|",
    "| `ERR_ONE` | one; see `ERR_TWO` |",
    "### More",
    "|`ERR_TWO`| two |",
    "## After",
    "| `ERR_AFTER` | no |",
  ].join("\n");
  assert.equal(errorCodesOf(markdown), ["ERR_ONE", "ERR_TWO"]);
  assert.is(errorCodesOf("# Varve\n"), null);
});

function untested(src: readonly SourceFile[], tests: readonly SourceFile[]): string[] {
  const byPath = new Map(src.map((file) => [file.path, file]));
  const mirrors = new Set(tests.map((file) => file.path.replace(/^test\//, "src/").replace(/\.test\.ts$/, ".ts")));
  const reached = new Set(src.map((file) => file.path).filter((path) => mirrors.has(path)));
  for (const path of tests.flatMap(referencedFiles)) reached.add(path);

  // A Set also walks over what is added while it is walked.
  for (const path of reached) {
    const file = byPath.get(path);
    if (file === undefined) continue;
    for (const next of referencedFiles(file)) if (layerOf(next) === layerOf(path)) reached.add(next);
  }
  return src
    .filter((file) => !reached.has(file.path) && countCodeLines(file.text) > UNTESTED_CODE_LINES_MAX)
    .map((file) => file.path);
}

function layerOf(path: string): string {
  return path.split("/").slice(0, -1)[1] ?? "";
}
