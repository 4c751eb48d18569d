/** Finds the vector that a node holds under a property, where it is one of the defined size. */

import type { ContentArena } from "./content-arena.js";
import { NULL_TAG, VECTOR_TAG } from "./property.js";
import { PropertyCursor } from "./property-cursor.js";
import { copyVector } from "./vector-bytes.js";
import { varintBytes } from "./wire.js";

const cursor = new PropertyCursor();

/** What `look` found. */
export type VectorFinding = "vector" | "nothing" | "other";

export class VectorProperty {
  /** The vector that was found last. */
  readonly vector: Float32Array;
  readonly #key: Uint8Array;
  readonly #valueBytes: number;

  constructor(property: string, dimensions: number) {
    this.#key = Buffer.from(property);
    this.vector = new Float32Array(dimensions);
    const { byteLength } = this.vector;
    this.#valueBytes = 1 + varintBytes(byteLength) + byteLength;
  }

  /** Looks at canonical properties; a vector is copied to `vector`. Null is no vector. */
  look(bytes: Uint8Array, start: number, end: number): VectorFinding {
    if (start === end) return "nothing";
    cursor.open(bytes, start, end);
    if (!cursor.find(this.#key, 0, this.#key.length)) return "nothing";
    const tag = bytes[cursor.valueStart];
    if (tag === NULL_TAG) return "nothing";
    if (tag !== VECTOR_TAG || cursor.next - cursor.valueStart !== this.#valueBytes) return "other";
    copyVector(bytes, cursor.next - this.vector.byteLength, this.vector);
    return "vector";
  }

  /** Whether a record of the arena, which is open, holds a vector. */
  isIn({ bytes, start, end }: ContentArena): boolean {
    return this.look(bytes, start, end) === "vector";
  }
}
