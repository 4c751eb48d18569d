/** Writes batches of a node, twenty others and edges to them until it is killed: `endless-batches.js <store>`. A dot on standard output is one that is durable. */

import { openStore } from "../../../../src/index.js";

const store = await openStore(process.argv[2] ?? "", { checkpointIntervalMs: 50 });
const graph = await store.graph();
for (;;) {
  await graph.batch((batch) => {
    const hub = batch.createNode({ label: "Hub", validFrom: 0 });
    for (let count = 0; count < 20; count += 1) {
      const spoke = batch.createNode({ label: "Spoke", properties: { text: "x".repeat(500) }, validFrom: 0 });
      batch.createEdge({ label: "HAS", source: hub, target: spoke, validFrom: 0 });
    }
  });
  process.stdout.write(".");
}
