/**
 * Vectors between JavaScript and bytes: binary32, little-endian, side by side, at any offset.
 *
 * All of them are finite: a NaN or an infinity has no distance from anything, and of NaN there are many bit patterns.
 */

import { endianness } from "node:os";
import { copyOf } from "./wire.js";

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;
const IS_LITTLE_ENDIAN = endianness() === "LE";

/** What is wrong with a vector that is to be stored, or null. */
export function vectorFault(vector: Float32Array): string | null {
  if (vector.length === 0) return "a vector has at least one number";
  for (const value of vector) if (!Number.isFinite(value)) return "a vector holds finite numbers only";
  return null;
}

/** The vector as it is stored; a view of it where the machine has that order. */
export function vectorBytes(vector: Float32Array): Uint8Array {
  const bytes = new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
  return IS_LITTLE_ENDIAN ? bytes : Buffer.from(bytes).swap32();
}

/** Whether `bytes[start, end)` is a vector. */
export function isVector(bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (length <= 0 || length % FLOAT_BYTES !== 0) return false;
  // An exponent of ones is an infinity or a NaN.
  for (let at = start + 2; at < end; at += FLOAT_BYTES) {
    if ((bytes[at] as number) >= 0x80 && ((bytes[at + 1] as number) & 0x7f) === 0x7f) return false;
  }
  return true;
}

/** A copy of the vector `bytes[start, end)`. */
export function readVector(bytes: Uint8Array, start: number, end: number): Float32Array {
  const copy = copyOf(bytes, start, end);
  if (!IS_LITTLE_ENDIAN) Buffer.from(copy.buffer).swap32();
  return new Float32Array(copy.buffer);
}

/** Copies the vector that begins at `start` into `target`, which says how long it is. */
export function copyVector(bytes: Uint8Array, start: number, target: Float32Array): void {
  const into = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
  into.set(bytes.subarray(start, start + into.length));
  if (!IS_LITTLE_ENDIAN) Buffer.from(into.buffer, into.byteOffset, into.byteLength).swap32();
}
