/**
 * The vector benchmark: clustered vectors, what usearch alone takes to insert them, and how well the nearest are found.
 *
 * The vectors: as many centres as `clusters`, each number of them from the standard normal distribution; vector i is centre i modulo `clusters` plus `spread` times
 * such numbers of its own, scaled to length 1. Queries are made in the same way, of centres by chance. All chance is one generator (mulberry32)
 * from the seed, so that the same parameters give the same vectors.
 */

import { createRequire } from "node:module";
import type { DefinedVectors, VectorStorage } from "../index.js";

export interface VectorSet {
  readonly vectors: number;
  readonly dimensions: number;
  readonly clusters: number;
  readonly spread: number;
  readonly seed: number;
  readonly queries: number;
}

export const RECALLED = 10;
/** So many go into the index at once, in the graph as in usearch alone. */
const BATCH = 32;
const THREADS = 1;

export const VECTOR_LABEL = "Item";
export const VECTOR_PROPERTY = "embedding";

/** The settings of both indexes. */
export function definitionOf(set: VectorSet, storage: VectorStorage): Omit<DefinedVectors, "definedBy"> {
  return {
    label: VECTOR_LABEL,
    property: VECTOR_PROPERTY,
    dimensions: set.dimensions,
    metric: "cosine",
    storage,
    connectivity: 16,
    expansionAdd: 128,
    expansionSearch: 64,
  };
}

export class ClusteredVectors {
  readonly set: VectorSet;
  readonly #vectors: Float32Array;
  readonly #queries: Float32Array;

  constructor(set: VectorSet) {
    this.set = set;
    const { vectors, dimensions, clusters, queries } = set;
    const random = mulberry32(set.seed);
    const centres = Float32Array.from({ length: clusters * dimensions }, () => normal(random));
    this.#vectors = new Float32Array(vectors * dimensions);
    this.#queries = new Float32Array(queries * dimensions);
    for (let index = 0; index < vectors; index += 1)
      scatter(this.vector(index), centreOf(centres, index % clusters, dimensions), set.spread, random);
    for (let index = 0; index < queries; index += 1)
      scatter(this.query(index), centreOf(centres, Math.floor(random() * clusters), dimensions), set.spread, random);
  }

  /** A view. */
  vector(index: number): Float32Array {
    return centreOf(this.#vectors, index, this.set.dimensions);
  }

  query(index: number): Float32Array {
    return centreOf(this.#queries, index, this.set.dimensions);
  }

  /** So many vectors in a row: a view. */
  vectors(from: number, count: number): Float32Array {
    const { dimensions } = this.set;
    return this.#vectors.subarray(from * dimensions, (from + count) * dimensions);
  }

  /** For each query the nearest vectors, found by comparing it with all. */
  nearestByComparing(): Set<number>[] {
    const { vectors, dimensions, queries } = this.set;
    const near = new Float64Array(vectors);
    return Array.from({ length: queries }, (_, query) => {
      const wanted = this.query(query);
      for (let index = 0, at = 0; index < vectors; index += 1) {
        let dot = 0;
        for (let dimension = 0; dimension < dimensions; dimension += 1, at += 1)
          dot += (wanted[dimension] as number) * (this.#vectors[at] as number);
        near[index] = dot;
      }
      return highest(near, RECALLED);
    });
  }
}

/** What one index did. */
export interface IndexFigures {
  readonly insertsPerSecond: number;
  /** What one takes of the processor, µs: beside other work on the machine this says more than the time. */
  readonly insertCpuUs: number;
  /** By one caller, one after the other. */
  readonly searchesPerSecond: number;
  /** Which share of the ten nearest it finds. */
  readonly recallAt10: number;
}

/** Inserts and searches as the graph has it done, by usearch alone. Throws where the package is not there. */
export function measureUsearch(
  data: ClusteredVectors,
  storage: VectorStorage,
  truth: readonly ReadonlySet<number>[],
): IndexFigures {
  const { Index } = createRequire(import.meta.url)("usearch") as {
    Index: new (
      config: object,
    ) => {
      add(keys: BigUint64Array, vectors: Float32Array, threads: number): void;
      search(vector: Float32Array, k: number, threads: number): { readonly keys: BigUint64Array };
    };
  };
  const { dimensions, connectivity, expansionAdd, expansionSearch } = definitionOf(data.set, storage);
  const expansions = { expansion_add: expansionAdd, expansion_search: expansionSearch };
  const index = new Index({
    dimensions,
    metric: "cos",
    quantization: storage,
    connectivity,
    ...expansions,
    multi: false,
  });
  const { vectors } = data.set;
  const startedMs = performance.now();
  const startedCpu = process.cpuUsage();
  for (let from = 0; from < vectors; from += BATCH) {
    const count = Math.min(BATCH, vectors - from);
    const keys = BigUint64Array.from({ length: count }, (_, at) => BigInt(from + at));
    index.add(keys, data.vectors(from, count), THREADS);
  }
  const insertsPerSecond = perSecond(vectors, startedMs);
  const insertCpuUs = cpuUsEach(vectors, startedCpu);
  return {
    insertsPerSecond,
    insertCpuUs,
    ...measureSearches(data, truth, (query) => Array.from(index.search(query, RECALLED, THREADS).keys, Number)),
  };
}

/** `search` gives the indexes of vectors. */
export function measureSearches(
  data: ClusteredVectors,
  truth: readonly ReadonlySet<number>[],
  search: (query: Float32Array) => readonly number[],
): Pick<IndexFigures, "searchesPerSecond" | "recallAt10"> {
  const { queries, vectors } = data.set;
  const startedMs = performance.now();
  const found = Array.from({ length: queries }, (_, query) => search(data.query(query)));
  const searchesPerSecond = perSecond(queries, startedMs);
  const hits = found.reduce((sum, each, query) => sum + each.filter((index) => truth[query]?.has(index)).length, 0);
  return { searchesPerSecond, recallAt10: hits / (queries * Math.min(RECALLED, vectors)) };
}

export function cpuUsEach(count: number, started: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(started);
  return Math.round((user + system) / count);
}

export function perSecond(count: number, startedMs: number): number {
  return Math.round(count / ((performance.now() - startedMs) / 1_000));
}

function centreOf(all: Float32Array, index: number, dimensions: number): Float32Array {
  return all.subarray(index * dimensions, (index + 1) * dimensions);
}

/** Makes the target a vector of length 1 around a centre. */
function scatter(target: Float32Array, centre: Float32Array, spread: number, random: () => number): void {
  let square = 0;
  for (let at = 0; at < target.length; at += 1) {
    const value = (centre[at] as number) + spread * normal(random);
    target[at] = value;
    square += value * value;
  }
  const length = Math.sqrt(square);
  for (let at = 0; at < target.length; at += 1) target[at] = (target[at] as number) / length;
}

function highest(values: Float64Array, count: number): Set<number> {
  const best: number[] = [];
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index] as number;
    if (best.length === count && value <= (values[best.at(-1) as number] as number)) continue;
    const at = best.findIndex((each) => (values[each] as number) < value);
    best.splice(at < 0 ? best.length : at, 0, index);
    if (best.length > count) best.pop();
  }
  return new Set(best);
}

// Box and Muller.
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), 1 | state);
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
}
