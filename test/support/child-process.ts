/** Runs a compiled module of the tests in a process of its own and waits for its end. */

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export interface ChildEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ChildOptions {
  readonly arguments?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A command that runs the child: `["strace", "-f", …]`. */
  readonly under?: readonly string[];
  /** It is killed after this. Default 20,000. */
  readonly deadlineMs?: number;
}

/** `module` is the URL of a compiled file: `new URL("./children/idle-ring.js", import.meta.url)`. */
export function runChild(module: URL, options: ChildOptions = {}): Promise<ChildEnd> {
  const command = [...(options.under ?? []), process.execPath, fileURLToPath(module), ...(options.arguments ?? [])];
  const [file, ...rest] = command as [string, ...string[]];
  return new Promise((resolve, reject) => {
    const child = spawn(file, rest, {
      env: { ...process.env, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: options.deadlineMs ?? 20_000,
      killSignal: "SIGKILL",
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}
