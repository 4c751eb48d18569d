/** docs/faults.md says what proves each promise: what it names must be there. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { assert } from "./support/assert.js";
import { suite } from "./support/suite.js";
import { BUGS } from "./zoo/bugs.js";

const test = suite("faults");
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const FAULTS = 67;

const rows = readFileSync(join(ROOT, "docs/faults.md"), "utf8")
  .split("\n")
  .map((line) => line.split("|").map((cell) => cell.trim()))
  .filter((cells) => /^\d+$/.test(cells[1] ?? ""));

test("every fault of the list has its line, and each line its proof", () => {
  assert.equal(
    rows.map((cells) => Number(cells[1])),
    Array.from({ length: FAULTS }, (_, index) => index + 1),
  );
  for (const [, number, fault, answer, proof] of rows)
    assert.ok(
      [fault, answer, proof].every((cell) => (cell ?? "").length > 4),
      `fault ${number}`,
    );
});

test("every test that is named is there", () => {
  let count = 0;
  for (const [, number, , , proof = ""] of rows) {
    for (const [, file = "", name = ""] of proof.matchAll(/`(\S+\.ts) › ([^`]+)`/g)) {
      const path = join(ROOT, "test", file);
      assert.ok(existsSync(path), `fault ${number}: ${file}`);
      assert.ok(readFileSync(path, "utf8").includes(name), `fault ${number}: ${file} has no test "${name}"`);
      count++;
    }
    for (const [, bug] of proof.matchAll(/zoo: ([a-z-]+)/g))
      assert.ok(
        BUGS.some(({ name }) => name === bug),
        `fault ${number}: the zoo has no ${bug}`,
      );
  }
  assert.ok(count > FAULTS);
});
