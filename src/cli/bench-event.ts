/**
 * The events of the append benchmarks. Their bytes follow from the caller's number and the event's version alone, which is
 * what a check compares them with, byte by byte.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";

export const BENCH_TYPE = "varve.bench.Written";
const BENCH_PROTO = 'syntax = "proto3";\npackage varve.bench;\nmessage Written { bytes body = 1; }\n';
/** A tag, a length, and as much of the sequence number as fits. */
export const PAYLOAD_BYTES_MIN = 4;

const BODY_TAG = (1 << 3) | 2;
const SEQUENCE_BYTES = 4;

/** Writes the schema to open the store with into that directory, and returns its path. */
export function writeBenchProto(directory: string): string {
  const path = join(directory, "bench.proto");
  writeFileSync(path, BENCH_PROTO);
  return path;
}

/** The stream of a caller, to which nobody else appends. */
export function streamOf(caller: number): string {
  return `bench-${caller}`;
}

/** Bytes that tell the callers apart, of a message of that many bytes; the first four are for the sequence number. */
export function bodyOf(caller: number, payloadBytes: number): Uint8Array {
  let state = Math.imul(caller + 1, 0x9e37_79b1) >>> 0;
  return Uint8Array.from({ length: bodyBytesOf(payloadBytes) }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
}

/** Writes the sequence number of an event, which is its version, into its body. */
export function stamp(body: Uint8Array, sequence: number): void {
  const end = Math.min(SEQUENCE_BYTES, body.length);
  for (let offset = 0, rest = sequence; offset < end; offset += 1, rest >>>= 8) body[offset] = rest & 0xff;
}

/** The message as it is stored, and the part of it to stamp. */
export function messageOf(
  caller: number,
  payloadBytes: number,
): { readonly message: Uint8Array; readonly body: Uint8Array } {
  const body = bodyOf(caller, payloadBytes);
  const message = Buffer.concat([Buffer.from([BODY_TAG, ...varint(body.length)]), body]);
  return { message, body: message.subarray(message.length - body.length) };
}

/** The bytes of the field in a message of that many bytes. */
function bodyBytesOf(payloadBytes: number): number {
  for (let lengthBytes = 1; ; lengthBytes += 1) {
    const bodyBytes = payloadBytes - 1 - lengthBytes;
    if (varint(bodyBytes).length <= lengthBytes) return bodyBytes;
  }
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return bytes;
}
