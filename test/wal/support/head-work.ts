/** What those who use a head table at once do, and how a test starts them. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";

export const SHARED_NAMES = 9000;
export const OWN_NAMES = 3000;
export const TURNS = 20_000;
/** Tells a torn record: version and epoch of a whole one always fit together. */
export const EPOCHS_PER_VERSION = 7;

export function sharedName(index: number): string {
  return `stream of all, number ${index}`;
}

export interface HeadWriter {
  /** The next line that it says. */
  line(): Promise<string>;
  /** SIGKILL for a process, `terminate` for a thread; resolves when it is gone. */
  kill(): Promise<void>;
}

const MODULE = fileURLToPath(new URL("./head-writer.js", import.meta.url));

export type HeadWriterMode = "insert" | "count" | "churn";

export function startProcess(mode: HeadWriterMode, directory: string, slot: number): HeadWriter {
  const child = spawn(process.execPath, [MODULE, mode, directory, String(slot)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const ended = once(child, "close");
  return {
    line: async () => (await lines.next()).value as string,
    kill: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

export function startThread(mode: HeadWriterMode, directory: string, slot: number): HeadWriter {
  const worker = new Worker(MODULE, { argv: [mode, directory, String(slot)] });
  const said: string[] = [];
  const listeners: ((line: string) => void)[] = [];
  worker.on("message", (line: string) => {
    const listener = listeners.shift();
    if (listener === undefined) said.push(line);
    else listener(line);
  });
  return {
    line: () =>
      new Promise((resolve) => {
        const line = said.shift();
        if (line === undefined) listeners.push(resolve);
        else resolve(line);
      }),
    kill: async () => {
      await worker.terminate();
    },
  };
}
