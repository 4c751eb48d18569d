/** A process of the chaos test as its parent sees it: what its threads said, line by line, and how it ended. */

import { type ChildProcess, spawn } from "node:child_process";
import { Readable, type Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { outputOf, type ProcessOrder } from "./chaos-plan.js";

const PROCESS = fileURLToPath(new URL("./children/chaos-process.js", import.meta.url));
const STDERR_CHARACTERS_MAX = 64 * 1024;

const living = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of living) child.kill("SIGKILL");
});

export class ChaosChild {
  readonly #child: ChildProcess;
  /** Resolves when it is gone and all it said was heard. */
  readonly ended: Promise<void>;
  readonly #ready: Promise<void>;
  #listener: ((thread: number, line: string) => void) | null = null;
  stderr = "";
  /** How it ended; null while it has not. */
  ending: string | null = null;

  constructor(threads: number) {
    const pipes = Array.from({ length: threads - 1 }, () => "pipe" as const);
    this.#child = spawn(process.execPath, ["--enable-source-maps", PROCESS, String(threads)], {
      stdio: ["pipe", "pipe", "pipe", ...pipes],
    });
    living.add(this.#child);
    this.#input.on("error", () => {}); // it was killed before it read that
    let becomeReady = (): void => {};
    this.#ready = new Promise((resolve) => {
      becomeReady = resolve;
    });
    for (let thread = 0; thread < threads; thread++) {
      onLines(this.#child.stdio[outputOf(thread)], (line) => {
        if (line === "ready") becomeReady();
        else this.#listener?.(thread, line);
      });
    }
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr = (this.stderr + text).slice(-STDERR_CHARACTERS_MAX);
    });
    this.ended = new Promise((resolve) => {
      const end = (ending: string): void => {
        living.delete(this.#child);
        this.ending ??= ending;
        resolve();
      };
      this.#child.on("error", (error) => end(`could not be started: ${error.message}`));
      this.#child.on("close", (code, signal) =>
        end(signal === null ? `exited with ${code}` : `was ended by ${signal}`),
      );
    });
  }

  get #input(): Writable {
    return this.#child.stdin as Writable;
  }

  /** Resolves when it has loaded its modules and takes orders. Says nothing of one that ends before; `ended` does. */
  async whenReady(deadlineMs: number): Promise<void> {
    const timer = new AbortController();
    const late = delay(deadlineMs, true, { signal: timer.signal }).catch(() => false);
    const isLate = await Promise.race([this.#ready.then(() => false), this.ended.then(() => false), late]);
    timer.abort();
    if (isLate) throw new Error(`a process was not ready within ${deadlineMs} ms\n${this.stderr}`);
  }

  onLine(listener: (thread: number, line: string) => void): void {
    this.#listener = listener;
  }

  order(order: ProcessOrder): void {
    this.#input.write(`${JSON.stringify(order)}\n`);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

function onLines(stream: unknown, onLine: (line: string) => void): void {
  if (!(stream instanceof Readable)) throw new TypeError("the child has no pipe there");
  let rest = "";
  stream.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() as string; // a line that was cut says nothing
    for (const line of lines) onLine(line);
  });
}
