/**
 * Results on stdout: with `--json` one object per line, readable text otherwise.
 *
 * Printing waits for a slow reader, so that a list of any length takes bounded memory. A reader that has gone (`| head`)
 * is no error: `gone` is aborted, what is printed from then on is dropped, and the command ends early if it looks.
 */

import type { Writable } from "node:stream";

const BUFFERED_CHARACTERS_MAX = 64 * 1024;

export class Output {
  readonly json: boolean;
  readonly #stream: Writable;
  readonly #gone = new AbortController();
  readonly #waiting: (() => void)[] = [];
  #fault: Error | null = null;
  #buffered = "";
  #flushScheduled = false;

  constructor(stream: Writable, json: boolean) {
    this.#stream = stream;
    this.json = json;
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") this.#fault = error;
      this.#gone.abort();
      this.#wake();
    });
    stream.on("drain", () => this.#wake());
  }

  /** Aborted when nobody reads any more. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Prints one result or one item of a list. The readable form is made only when it is asked for. */
  print(value: unknown, readable: () => string): Promise<void> | undefined {
    if (this.#gone.signal.aborted) return undefined;
    this.#buffered += this.json ? `${stringify(value)}\n` : `${readable()}\n`;
    if (this.#buffered.length >= BUFFERED_CHARACTERS_MAX) return this.flush();
    // Who follows a store wants to see an event when it comes, not when the buffer is full.
    if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      setImmediate(() => {
        this.#flushScheduled = false;
        this.flush().catch(() => {
          // The fault stays, for the last flush of the command.
        });
      });
    }
    return undefined;
  }

  /** Resolves when the stream has room again, or nobody reads it. Throws what else went wrong with it. */
  async flush(): Promise<void> {
    if (this.#fault !== null) throw this.#fault;
    if (this.#buffered === "" || this.#gone.signal.aborted) return;
    const text = this.#buffered;
    this.#buffered = "";
    if (this.#stream.write(text)) return;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/**
 * JSON of anything an event or a property can hold: bytes are base64, vectors are arrays, 64-bit integers and the numbers that JSON lacks are
 * strings, as protobuf's own JSON has them.
 */
export function stringify(value: unknown): string {
  return JSON.stringify(value, replaceValue) ?? "null";
}

// A Buffer has made itself an object before the replacer sees it, so the holder is asked.
function replaceValue(this: unknown, key: string, value: unknown): unknown {
  if (typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return value;
  const original = (this as Record<string, unknown>)[key];
  if (original instanceof Uint8Array)
    return Buffer.from(original.buffer, original.byteOffset, original.byteLength).toString("base64");
  if (original instanceof Float32Array) return [...original];
  return value;
}
