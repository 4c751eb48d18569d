/**
 * A map of documents as pieces of a checkpoint.
 *
 * Each piece is a row of documents, one behind the other; integers are unsigned and little-endian:
 *
 *      0  4  bytes of the key
 *      4  4  bytes of the document
 *      8     the key in UTF-8, then the document as its codec gave it
 *
 * A document never spans two pieces. A piece is made when the one before it is written, so a large map is never in memory twice. That a length
 * leads beyond its piece is noticed; checksums are the checkpoint file's.
 */

import type { StateCodec } from "./state-codec.js";

/** Above it a piece ends; a single document may be larger. */
const PIECE_BYTES = 256 * 1024;
const HEADER_BYTES = 8;

export function* encodeDocuments<Document>(
  documents: ReadonlyMap<string, Document>,
  codec: StateCodec<Document>,
): Generator<Uint8Array, void, undefined> {
  let parts: Uint8Array[] = [];
  let gatheredBytes = 0;
  for (const [key, document] of documents) {
    const value = codec.encode(document);
    if (!(value instanceof Uint8Array)) throw new TypeError("the encode of a document must give a Uint8Array");
    const name = Buffer.from(key);
    const header = Buffer.allocUnsafe(HEADER_BYTES);
    header.writeUInt32LE(name.length, 0);
    header.writeUInt32LE(value.length, 4);
    // A copy of the value, for an encoder may use its memory again.
    parts.push(header, name, Uint8Array.from(value));
    gatheredBytes += HEADER_BYTES + name.length + value.length;
    if (gatheredBytes < PIECE_BYTES) continue;
    yield Buffer.concat(parts);
    parts = [];
    gatheredBytes = 0;
  }
  if (gatheredBytes > 0) yield Buffer.concat(parts);
}

export async function decodeDocuments<Document>(
  pieces: AsyncIterable<Uint8Array>,
  codec: StateCodec<Document>,
): Promise<Map<string, Document>> {
  const documents = new Map<string, Document>();
  for await (const piece of pieces) {
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
    for (let at = 0; at < bytes.length; ) {
      if (at + HEADER_BYTES > bytes.length) throw new RangeError("a piece of documents ends within a header");
      const valueStart = at + HEADER_BYTES + bytes.readUInt32LE(at);
      const end = valueStart + bytes.readUInt32LE(at + 4);
      if (end > bytes.length) throw new RangeError("a piece of documents ends within a document");
      const key = bytes.toString("utf8", at + HEADER_BYTES, valueStart);
      documents.set(key, codec.decode(bytes.subarray(valueStart, end)));
      at = end;
    }
  }
  return documents;
}
