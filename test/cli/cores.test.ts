import { join } from "node:path";
import { openStore } from "../../src/index.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { runCli, runFailing, runJson } from "./support/run-cli.js";

const test = suite("cli/cores");

test("cores says what every writer of a live store tells of itself", async () => {
  const directory = join(temporaryDirectory(), "store");
  const first = await openStore(directory);
  try {
    const second = await openStore(directory);
    for (let number = 0; number < 3; number += 1) await second.append("s", { type: "T", data: number });
    const cores = await runJson(["cores", directory]);
    assert.equal(
      cores.map(({ core, isLive, pid, records, pendingRecords }) => [core, isLive, pid, records, pendingRecords]),
      [
        [0, true, process.pid, 0, 0],
        [1, true, process.pid, 3, 0],
      ],
    );
    assert.ok(cores.every(({ generation }) => generation === 1));
    assert.ok(Number(cores[1]?.["frames"]) >= 1 && Number(cores[1]?.["bytes"]) >= 4_096);
    const readable = await runCli(["cores", "--store", directory]);
    assert.match(readable.stdout, `core 1  generation 1, live in process ${process.pid}: 3 events`);
    await second.close();
    assert.equal(
      (await runJson(["cores", directory])).map(({ isLive }) => isLive),
      [true, false],
    );
  } finally {
    await first.close();
  }
});

test("cores refuses a directory without a store", async () => {
  assert.is((await runFailing(["cores", temporaryDirectory()])).code, "ERR_STORE_NOT_FOUND");
});
