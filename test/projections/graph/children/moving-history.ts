/**
 * Corrects the node argv[3] of the store argv[2] and makes checkpoints, to which all that is superseded goes into files.
 *
 * argv[4] is `rounds` and how many, or what of one checkpoint is there when this process kills itself: `temporary` (a file that is being written),
 * `history` (the file has its name), or `checkpoint` (it names the file). Each correction that is acknowledged is a line: its LSN.
 */

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { openStore } from "../../../../src/index.js";

const [directory = "", node = "", until = "", count = "1"] = process.argv.slice(2);
const folder = join(directory, "projections", "graph");
const store = await openStore(directory);
const graph = await store.graph({ historyInMemoryDays: 0 });
const before = new Set(inodes());

function inodes(): readonly string[] {
  return readdirSync(folder).flatMap((name) => {
    const found = statSync(join(folder, name), { throwIfNoEntry: false });
    return found === undefined ? [] : [`${name} ${found.ino}`];
  });
}

function isThere(): boolean {
  const added = inodes().filter((each) => !before.has(each));
  const names = added.map((each) => each.split(" ")[0] ?? "");
  if (until === "temporary") return names.some((name) => name.includes(".history") && !name.endsWith(".history"));
  return names.some((name) => name.endsWith(`.${until}`));
}

function watch(): void {
  if (isThere()) process.kill(process.pid, "SIGKILL");
  setImmediate(watch);
}

for (let round = 0; round < Number(count); round += 1) {
  const { lsn } = await graph.patchNode(Number(node), { round: 1000 + round }, { validFrom: 0 });
  process.stdout.write(`${lsn}\n`);
  if (until !== "rounds") watch();
  await store.checkpoint();
}
// Who was to be killed is not to come here.
if (until !== "rounds") process.exit(3);
await store.close();
