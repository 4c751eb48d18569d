/** The index of nearest neighbours: the optional package usearch, loaded when somebody opens vectors and not before. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { StoreError } from "../../errors.js";
import type { VectorMetric, VectorsDefinedData } from "./vector-definition.js";

/** What is used of an index of usearch's. Everything blocks, and is done by as many threads as are asked for. */
export interface PeerIndex {
  add(keys: BigUint64Array, vectors: Float32Array, threads: number): void;
  /** The keys of the nearest, the nearest first; fewer where there are fewer. */
  search(vector: Float32Array, k: number, threads: number): { readonly keys: BigUint64Array };
  remove(keys: BigUint64Array): unknown;
  save(path: string): void;
  load(path: string): void;
}

export interface VectorPeer {
  readonly version: string;
  create(definition: VectorsDefinedData): PeerIndex;
}

const PEER = "usearch";

type PeerModule = { readonly Index: new (config: object) => PeerIndex };

const METRICS: Readonly<Record<VectorMetric, string>> = { cosine: "cos", l2: "l2sq", dot: "ip" };

let loaded: VectorPeer | null = null;

/** Throws ERR_GRAPH_VECTORS_PEER where it is not installed, or cannot be loaded. */
export function loadVectorPeer(): VectorPeer {
  try {
    loaded ??= load();
    return loaded;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `the index of vectors needs the package ${PEER}, which cannot be loaded: ${reason}`;
    throw new StoreError("ERR_GRAPH_VECTORS_PEER", message, { package: PEER }, { cause });
  }
}

function load(): VectorPeer {
  const require = createRequire(import.meta.url);
  // Not by import: as a module it looks for its binary by the stack, and does not find it wherever it is loaded from.
  const { Index } = require(PEER) as PeerModule;
  return {
    version: versionOf(require.resolve(PEER)),
    create: ({ dimensions, metric, storage, connectivity, expansionAdd, expansionSearch }) =>
      new Index({
        dimensions,
        // As i8 it keeps directions only. Of vectors of length 1 the order is the same by all three.
        metric: METRICS[storage === "i8" ? "cosine" : metric],
        quantization: storage,
        connectivity,
        expansion_add: expansionAdd,
        expansion_search: expansionSearch,
        multi: false,
      }),
  };
}

/** Of the package that a module is in; its own package.json is not among its exports. */
function versionOf(module: string): string {
  for (let directory = dirname(module); ; directory = dirname(directory)) {
    const found = packageIn(directory);
    if (found?.name === PEER) return String(found.version);
    if (directory === dirname(directory)) throw new Error(`no package.json of ${PEER} above ${module}`);
  }
}

function packageIn(directory: string): { readonly name?: unknown; readonly version?: unknown } | null {
  try {
    return JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
  } catch {
    return null;
  }
}
