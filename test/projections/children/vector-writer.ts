/** Inserts vectors and saves them, over and over, until it is killed. Prints how many are durable. */

import { openStore } from "../../../src/index.js";

const [directory = ""] = process.argv.slice(2);
const reference = { label: "Note", property: "embedding" };

const store = await openStore(directory);
const graph = await store.graph();
await graph.defineVectors({ ...reference, dimensions: 2 });
await graph.openVectors(reference);
for (let round = graph.counts.nodes; ; round += 1) {
  await graph.createNode({
    label: "Note",
    properties: { embedding: Float32Array.of(Math.cos(round), Math.sin(round)) },
    validFrom: 0,
  });
  await store.checkpoint();
  console.log(round + 1);
}
