/**
 * Takes part in a race for keys: `racing-commands.js <store> <name> <keys>`. Of each key it creates a node, upserts another, and counts up one node by
 * compare and set; what became of each is one line. Writes "ready" and begins when its standard input says so.
 */

import { once } from "node:events";
import { isStoreError, openStore } from "../../../../src/index.js";

const [directory = "", name = "", keys = "0"] = process.argv.slice(2);
await using store = await openStore(directory);
const graph = await store.graph();
const [counter] = graph.asOf().find({ label: "Counter" });
const id = counter?.id ?? 0;
process.stdout.write("ready\n");
await once(process.stdin, "data");
process.stdin.destroy();

const outcome = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "won",
    (error: unknown) => {
      if (!isStoreError(error)) throw error;
      return error.code;
    },
  );

const outcomes: Record<string, string>[] = [];
for (let key = 0; key < Number(keys); key += 1) {
  const created = outcome(
    graph.createNode({ label: "Person", properties: { email: `${key}`, by: name }, validFrom: 0 }),
  );
  const batch = outcome(
    graph.batch((items) => {
      const node = items.createNode({ label: "Person", properties: { email: `batch ${key}`, by: name }, validFrom: 0 });
      items.createEdge({ label: "IN", source: node, target: id, validFrom: 0 });
    }),
  );
  const upsert = outcome(
    graph.upsertNode({ label: "Company", key: "name", properties: { name: `${key}`, [name]: key }, validFrom: 0 }),
  );
  const version = graph.versionOf("node", id);
  const count = (graph.asOf().node(id)?.properties["count"] as number) + 1;
  const counted = outcome(graph.patchNode(id, { count }, { validFrom: 0, expectedVersion: version }));
  outcomes.push({ created: await created, batch: await batch, upsert: await upsert, counted: await counted });
}
process.stdout.write(`${JSON.stringify(outcomes)}\n`);
