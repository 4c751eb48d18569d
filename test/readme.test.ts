/** The README's examples compile against the public surface, and run. */

import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "./support/assert.js";
import { PostgresServer, postgresProblem } from "./support/postgres-server.js";
import { suite } from "./support/suite.js";
import { temporaryDirectory } from "./support/temporary-directory.js";

const test = suite("readme");

const PROJECT = process.cwd();
/** Compiled beside the sources, so that they resolve the same packages. */
const EXAMPLES = join(PROJECT, "build", "readme");

const SCHEMA = 'syntax = "proto3";\npackage shop;\nmessage OrderPlaced { string item = 1; }\n';

function examples(): string[] {
  const readme = readFileSync(join(PROJECT, "README.md"), "utf8");
  return Array.from(readme.matchAll(/^```ts\n(.*?)^```$/gms), (match) => match[1] as string);
}

/** Compiles every example as a module of its own; returns the compiler's complaints. */
function compileExamples(): string {
  mkdirSync(EXAMPLES, { recursive: true });
  for (const [index, code] of examples().entries()) {
    // The package's own name would resolve to what was last built for users.
    const local = code
      .replaceAll('from "varve"', 'from "../../src/index.js"')
      .replaceAll('from "varve/specification"', 'from "../../src/specification/index.js"');
    writeFileSync(join(EXAMPLES, `example-${index}.mts`), local);
  }
  const config = {
    extends: "../../tsconfig.json",
    compilerOptions: { rootDir: "../..", outDir: "compiled", noEmitOnError: true, sourceMap: false },
    // Nothing imports the thread that makes checkpoints.
    include: ["*.mts", "../../src/events/seal-worker.ts"],
  };
  writeFileSync(join(EXAMPLES, "tsconfig.json"), JSON.stringify(config));
  const tsc = join(PROJECT, "node_modules", "typescript", "bin", "tsc");
  return spawnSync(process.execPath, [tsc, "-p", EXAMPLES], { encoding: "utf8" }).stdout;
}

test("every example compiles", () => {
  assert.ok(examples().length >= 4, "the examples are found");
  assert.is(compileExamples(), "");
});

function runExample(index: number, environment: Readonly<Record<string, string>> = {}): string {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, "schemas"));
  writeFileSync(join(directory, "schemas", "shop.proto"), SCHEMA);
  const script = join(EXAMPLES, "compiled", "build", "readme", `example-${index}.mjs`);
  const env = { ...process.env, ...environment };
  return execFileSync(process.execPath, [script], { cwd: directory, encoding: "utf8", env });
}

const needsPostgres = (code: string): boolean => code.includes('from "pg"');

test("every example runs to its end in an empty directory", () => {
  for (const [index, code] of examples().entries()) {
    if (needsPostgres(code)) continue;
    const output = runExample(index);
    if (index === 0) assert.is(output, "300\n");
  }
});

const WITH_POSTGRES = "the example with PostgreSQL runs to its end beside a server";
const problem = postgresProblem();
if (problem !== null) test.skip(WITH_POSTGRES, problem);
else
  test(WITH_POSTGRES, async () => {
    const server = new PostgresServer();
    try {
      await server.start();
      const { host, user, database } = server.address;
      const index = examples().findIndex(needsPostgres);
      assert.is(runExample(index, { PGHOST: host, PGUSER: user, PGDATABASE: database }), "500\n");
    } finally {
      await server.remove();
    }
  });

test("the two commands of a newcomer are scripts of the package", () => {
  const { scripts } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as { scripts: object };
  for (const [, name] of readFileSync(join(PROJECT, "README.md"), "utf8").matchAll(/npm (?:run )?(demo|test)\b/g)) {
    assert.ok(name !== undefined && Object.hasOwn(scripts, name), `npm run ${name}`);
  }
});
