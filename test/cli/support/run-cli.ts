/** Runs the compiled command line as its users do: a process with arguments, stdin, stdout, stderr and an exit code. */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const CLI_PATH = fileURLToPath(new URL("../../../src/cli/main.js", import.meta.url));

export interface CliRun {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliInput {
  readonly input?: string | Buffer;
  readonly cwd?: string;
  readonly environment?: NodeJS.ProcessEnv;
  /** Called with the process, to signal it or look at what it prints. */
  readonly onStart?: (child: ChildProcessWithoutNullStreams) => void;
}

export function runCli(parameters: readonly string[], options: CliInput = {}): Promise<CliRun> {
  const child = spawn(process.execPath, ["--enable-source-maps", CLI_PATH, ...parameters], {
    cwd: options.cwd,
    env: { ...process.env, ...options.environment },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  child.stdin.on("error", () => {});
  child.stdin.end(options.input);
  options.onStart?.(child);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (exitCode, signal) => resolve({ exitCode, signal, stdout, stderr }));
  });
}

/** Runs it with `--json`, requires success and returns the objects that it printed. */
export async function runJson(parameters: readonly string[], options: CliInput = {}): Promise<JsonObject[]> {
  const run = await runCli([...parameters, "--json"], options);
  if (run.exitCode !== 0)
    throw new Error(`varve ${parameters.join(" ")}: ${run.exitCode ?? run.signal}: ${run.stderr}`);
  return parseLines(run.stdout);
}

export type JsonObject = Readonly<Record<string, unknown>>;

export function parseLines(text: string): JsonObject[] {
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as JsonObject);
}

/** Runs it with `--json`, requires that it fails, and returns the error it printed and its exit code. */
export async function runFailing(
  parameters: readonly string[],
  options: CliInput = {},
): Promise<JsonObject & { readonly code: unknown; readonly message: string; readonly exitCode: number | null }> {
  const run = await runCli([...parameters, "--json"], options);
  const lines = run.stderr.trim().split("\n");
  if (run.exitCode === 0 || lines.length !== 1) throw new Error(`not one failure: ${run.exitCode}: ${run.stderr}`);
  const { error } = JSON.parse(lines[0] ?? "") as { readonly error: { code: unknown; message: string } };
  return { ...error, exitCode: run.exitCode };
}
