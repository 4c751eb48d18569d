/** A process that appends until it is refused (children/disk-writer.ts), and what it has said so far. */

import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

const WRITER = fileURLToPath(new URL("./children/disk-writer.js", import.meta.url));

export interface Child {
  readonly process: ChildProcessByStdio<null, Readable, null>;
  readonly lines: string[];
  readonly ended: Promise<NodeJS.Signals | number | null>;
  whenSaid(matches: (line: string) => boolean): Promise<string>;
}

export function startWriter(under: readonly string[], ...rest: readonly string[]): Child {
  const [file = "", ...all] = [...under, process.execPath, WRITER, ...rest];
  const child = spawn(file, all, { stdio: ["ignore", "pipe", "inherit"] });
  const lines: string[] = [];
  const waiters: (() => void)[] = [];
  let text = "";
  let hasEnded = false;
  const wake = (): void => {
    for (const resolve of waiters.splice(0)) resolve();
  };
  child.stdout.setEncoding("utf8").on("data", (more: string) => {
    text += more;
    const parts = text.split("\n");
    text = parts.pop() as string;
    lines.push(...parts);
    wake();
  });
  const ended = new Promise<NodeJS.Signals | number | null>((resolve) => {
    child.on("close", (code, signal) => {
      hasEnded = true;
      wake();
      resolve(signal ?? code);
    });
  });
  const whenSaid = async (matches: (line: string) => boolean): Promise<string> => {
    for (;;) {
      const line = lines.find(matches);
      if (line !== undefined) return line;
      if (hasEnded) throw new Error(`the writer ended after: ${lines.slice(-5).join(" | ")}`);
      await new Promise<void>((resolve) => waiters.push(resolve));
    }
  };
  return { process: child, lines, ended, whenSaid };
}

/** LSNs. */
export function acknowledged(child: Child): number[] {
  return child.lines.filter((line) => line.startsWith("ack ")).map((line) => Number(line.slice(4)));
}
