/** A process that has opened as many files as it may. */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openStore } from "../../src/index.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("crash/descriptors");
const EATER = fileURLToPath(new URL("./children/descriptor-eater.js", import.meta.url));
/** Enough for Node.js and for opening a store. */
const DESCRIPTORS = 256;

test("without a descriptor for the next segment the log stops, and nothing acknowledged is lost", async () => {
  const directory = join(temporaryDirectory(), "store");
  const command = `ulimit -n ${DESCRIPTORS} && exec "$0" "$@"`;
  const child = spawnSync("sh", ["-c", command, process.execPath, EATER, directory], { encoding: "utf8" });
  assert.is(child.status, 0, child.stderr);
  const { acknowledged, first, second } = JSON.parse(child.stdout) as Record<string, unknown>;
  assert.ok(first === "ERR_WAL_OUTCOME_UNKNOWN" || first === "ERR_WAL_FAILED", String(first));
  assert.is(second, "ERR_WAL_FAILED");
  const store = await openStore(directory);
  try {
    const lsns: number[] = [];
    for await (const { lsn } of store.readAll()) lsns.push(lsn);
    assert.ok(lsns.length >= Number(acknowledged) && lsns.length > 1, `${lsns.length} of ${acknowledged}`);
    assert.is((await store.append("s", { type: "Small", data: 1 })).lsn, lsns.length + 1);
  } finally {
    await store.close();
  }
});
