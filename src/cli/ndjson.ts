/** Lines of JSON from a byte stream, with their numbers, however it is cut into chunks. */

import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import { StoreError } from "../errors.js";

/** One line that is not blank. */
export interface NdjsonLine {
  /** From 1, blank lines counted. */
  readonly number: number;
  readonly value: unknown;
}

// No event can be longer, and a source without line feeds must not fill the memory.
const LINE_BYTES_MAX = 64 * 1024 * 1024;
const LINE_FEED = 0x0a;
const UTF8 = new TextDecoder("utf-8", { fatal: true });

/** The file, or stdin for "-". Throws ERR_IMPORT_SOURCE when it cannot be read. */
export function openSource(file: string, stdin: Readable): Promise<Readable> {
  if (file === "-") return Promise.resolve(stdin);
  return new Promise((resolve, reject) => {
    const stream = createReadStream(file);
    stream.once("error", (error) => {
      const message = `cannot read ${file}: ${error.message}`;
      reject(new StoreError("ERR_IMPORT_SOURCE", message, { path: file }, { cause: error }));
    });
    stream.once("open", () => resolve(stream));
  });
}

/** Yields the lines some at a time. Throws ERR_IMPORT_SOURCE with the number of a line that is not UTF-8 or not JSON. */
export async function* readNdjson(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<readonly NdjsonLine[], void> {
  const partial: Uint8Array[] = [];
  let partialBytes = 0;
  let number = 1;
  for await (const chunk of chunks) {
    const lines: NdjsonLine[] = [];
    let start = 0;
    try {
      for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
        partial.push(chunk.subarray(start, end));
        pushLine(lines, number, Buffer.concat(partial.splice(0)));
        partialBytes = 0;
        number += 1;
        start = end + 1;
      }
      partial.push(chunk.subarray(start));
      partialBytes += chunk.length - start;
      if (partialBytes > LINE_BYTES_MAX) throw badLine(number, `is longer than ${LINE_BYTES_MAX} bytes`);
    } catch (error) {
      // The lines before the bad one count.
      if (lines.length > 0) yield lines;
      throw error;
    }
    if (lines.length > 0) yield lines;
  }
  const last: NdjsonLine[] = [];
  pushLine(last, number, Buffer.concat(partial));
  if (last.length > 0) yield last;
}

/** The error of a line, whatever is wrong about it. */
export function badLine(number: number, how: string, cause?: unknown): StoreError {
  return new StoreError("ERR_IMPORT_SOURCE", `line ${number} ${how}`, { line: number }, { cause });
}

function pushLine(lines: NdjsonLine[], number: number, bytes: Uint8Array): void {
  let text: string;
  try {
    text = UTF8.decode(bytes);
  } catch (error) {
    throw badLine(number, "is not UTF-8", error);
  }
  if (text.trim() === "") return;
  try {
    lines.push({ number, value: JSON.parse(text) });
  } catch (error) {
    throw badLine(number, `is not JSON: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}
