/**
 * Runs the command line as its users do: arguments, stdin, stdout, stderr and an exit code.
 *
 * In a process of its own where a test needs one (to signal it, or to give it another directory or environment), and
 * within this one otherwise, which is many times faster and the same code but for the four lines of main.ts.
 */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { COMMANDS } from "../../../src/cli/commands/index.js";
import { runProgram } from "../../../src/cli/program.js";

export const CLI_PATH = fileURLToPath(new URL("../../../src/cli/main.js", import.meta.url));

export interface CliRun {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliInput {
  readonly input?: string | Buffer;
  /** Run it in a process of its own in any case. */
  readonly ownProcess?: true;
  readonly cwd?: string;
  readonly environment?: NodeJS.ProcessEnv;
  /** Called with the process, to signal it or look at what it prints. */
  readonly onStart?: (child: ChildProcessWithoutNullStreams) => void;
}

export function runCli(parameters: readonly string[], options: CliInput = {}): Promise<CliRun> {
  const { ownProcess, cwd, environment, onStart } = options;
  return (ownProcess ?? cwd ?? environment ?? onStart) === undefined
    ? runInThisProcess(parameters, options.input ?? "")
    : runInOwnProcess(parameters, options);
}

async function runInThisProcess(parameters: readonly string[], input: string | Buffer): Promise<CliRun> {
  const stdout = new Collector();
  const stderr = new Collector();
  const exitCode = await runProgram(
    parameters,
    // Without isTTY it is no terminal, and nothing else that tells it from one is used.
    { stdin: Readable.from([Buffer.from(input)]), stdout: stdout.stream, stderr: stderr.stream as NodeJS.WriteStream },
    COMMANDS,
  );
  return { exitCode, signal: null, stdout: stdout.text, stderr: stderr.text };
}

class Collector {
  readonly #chunks: Buffer[] = [];
  readonly stream: Writable = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      this.#chunks.push(chunk);
      done();
    },
  });

  get text(): string {
    return Buffer.concat(this.#chunks).toString();
  }
}

function runInOwnProcess(parameters: readonly string[], options: CliInput): Promise<CliRun> {
  const child = spawn(process.execPath, ["--enable-source-maps", CLI_PATH, ...parameters], {
    cwd: options.cwd,
    env: { ...process.env, ...options.environment },
    stdio: ["pipe", "pipe", "pipe"],
    // A group of its own, for tests that signal it as a terminal does.
    detached: true,
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  child.stdin.on("error", () => {});
  child.stdin.end(options.input);
  options.onStart?.(child);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (exitCode, signal) => {
      resolve({ exitCode, signal, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
    });
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
