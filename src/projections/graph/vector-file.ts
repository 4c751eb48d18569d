/**
 * The saved index of vectors: the state of a checkpoint file of its own (checkpoint-format.ts), in a directory beside the graph's. So it is encrypted
 * as others are, and goes with them when a subject is forgotten. Its pieces:
 *
 *     header     JSON, see `Header`
 *     entries    as vector-index.ts has them and the machine holds them, in the pieces that `Records.bytes` gives
 *     index      what the peer saves, in pieces of 1 MiB
 *
 * It is only a shortcut: what it says is compared with what the nodes hold (`VectorIndex.dropStale`), and what it lacks is added. So it need not be
 * of the LSN that the graph is at, and one that cannot be used costs time and nothing else.
 */

import { createHash } from "node:crypto";
import { endianness } from "node:os";
import { MemoryFile } from "../../events/index.js";
import { Records } from "./records.js";
import { type DefinedVectors, sameDefinition, type VectorsReference } from "./vector-definition.js";
import { VECTOR_ENTRY_BYTES, VectorIndex } from "./vector-index.js";
import type { VectorPeer } from "./vector-peer.js";

/** Of what is in the files; one of another version is not read. */
export const VECTOR_FILE_VERSION = 1;
const PIECE_BYTES = 2 ** 20;
const NAME_DIGITS = 16;

interface Header {
  readonly definition: DefinedVectors;
  /** The version of the peer's package. */
  readonly peer: string;
  readonly byteOrder: string;
  /** How many rows, the empty first one included. */
  readonly entries: number;
}

/** The name of the directory below `projections/`: labels and properties can be any text. */
export function vectorDirectoryName({ label, property }: VectorsReference): string {
  const digest = createHash("sha256")
    .update(JSON.stringify([label, property]))
    .digest("hex");
  return `graph-vectors-${digest.slice(0, NAME_DIGITS)}`;
}

/** What an index was at one moment. Must be closed. */
export class VectorSnapshot {
  readonly changeCount: number;
  readonly #header: Header;
  readonly #entries: readonly Uint8Array[];
  readonly #memory: MemoryFile;

  /** Takes about what copying the index takes, in this turn. What the peer or the system throws passes. */
  constructor(index: VectorIndex, { version }: VectorPeer) {
    this.#memory = MemoryFile.create();
    try {
      index.saveTo(this.#memory.path);
    } catch (error) {
      this.#memory.close();
      throw error;
    }
    this.changeCount = index.changeCount;
    const { definition, entries } = index;
    this.#entries = Array.from(entries.bytes(), (piece) => piece.slice());
    this.#header = { definition, peer: version, byteOrder: endianness(), entries: entries.length };
  }

  /** For a file; each piece is good until the next. */
  *pieces(): Generator<Uint8Array, void, undefined> {
    yield Buffer.from(JSON.stringify(this.#header));
    yield* this.#entries;
    const piece = new Uint8Array(PIECE_BYTES);
    for (let at = 0; ; ) {
      const length = this.#memory.read(piece, at);
      if (length === 0) return;
      yield piece.subarray(0, length);
      at += length;
    }
  }

  close(): void {
    this.#memory.close();
  }
}

/** The index that such pieces were made of. Throws where they are of another definition, machine or peer, or are none. */
export async function readVectorIndex(
  pieces: AsyncIterable<Uint8Array>,
  definition: DefinedVectors,
  peer: VectorPeer,
  threads: number,
): Promise<VectorIndex> {
  const memory = MemoryFile.create();
  try {
    let records: Records | null = null;
    let targets: Iterator<Uint8Array> | null = null;
    let at = 0;
    for await (const piece of pieces) {
      if (records === null) {
        const rows = rowsOf(piece, definition, peer);
        records = new Records(VECTOR_ENTRY_BYTES);
        targets = records.restore(rows)[Symbol.iterator]();
        continue;
      }
      const target = targets?.next();
      if (target?.done === false) {
        if (target.value.length !== piece.length) throw new Error("its entries are cut otherwise");
        target.value.set(piece);
        continue;
      }
      targets = null;
      memory.write(piece, at);
      at += piece.length;
    }
    if (records === null || at === 0) throw new Error("it ends too early");
    const index = peer.create(definition);
    index.load(memory.path);
    return new VectorIndex(definition, index, threads, records);
  } finally {
    memory.close();
  }
}

function rowsOf(piece: Uint8Array, definition: DefinedVectors, peer: VectorPeer): number {
  const header = JSON.parse(Buffer.from(piece).toString()) as Header;
  if (header.byteOrder !== endianness()) throw new Error("it was written by a machine of the other byte order");
  if (header.peer !== peer.version) throw new Error(`it is of version ${header.peer} of usearch, not ${peer.version}`);
  if (header.definition.definedBy !== definition.definedBy || !sameDefinition(header.definition, definition))
    throw new Error("it is of another definition");
  if (!Number.isSafeInteger(header.entries) || header.entries < 1)
    throw new Error("its header is not what it should be");
  return header.entries;
}
