/** A store in a process in which the package usearch is not to be had. Prints what was answered, as JSON. */

import Module from "node:module";
import { isStoreError, openReader, openStore } from "../../../src/index.js";

type Resolve = (request: string, ...rest: unknown[]) => string;
const loader = Module as unknown as { _resolveFilename: Resolve };
const resolve = loader._resolveFilename;
loader._resolveFilename = (request, ...rest) => {
  if (request === "usearch")
    throw Object.assign(new Error("Cannot find module 'usearch'"), { code: "MODULE_NOT_FOUND" });
  return resolve.call(loader, request, ...rest);
};

const [directory = ""] = process.argv.slice(2);
const reference = { label: "Note", property: "embedding" };

async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
    return "none";
  } catch (error) {
    return isStoreError(error) ? error.code : String(error);
  }
}

const store = await openStore(directory);
const graph = await store.graph();
const query = { ...reference, vector: [1, 0] };
const opening = await codeOf(() => graph.openVectors(reference));
const again = await codeOf(() => graph.openVectors(reference));
const many = await codeOf(() => graph.asOf().nearest(query));
const exact = graph.asOf().nearest({ ...query, k: 2, exact: true });
await graph.defineVectors({ label: "Few", property: "embedding", dimensions: 2 });
const id = 30_000;
await graph.putNode(id, { label: "Few", properties: { embedding: Float32Array.of(0, 1) } });
const few = graph.asOf().nearest({ ...query, label: "Few" });
const wrong = await codeOf(() => graph.patchNode(id, { embedding: Float32Array.of(1) }));
await store.checkpoint();
await store.close();
const reader = await openReader(directory);
const read = (await reader.graph()).vectors.length;
await reader.close();
console.log(JSON.stringify({ opening, again, many, exact, few, wrong, read }));
