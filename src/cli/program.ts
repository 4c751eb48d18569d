/** The tree of commands, and what they all share: arguments in, results to stdout, failures to stderr, an exit code. */

import { createRequire } from "node:module";
import type { Readable, Writable } from "node:stream";
import { Command, CommanderError } from "commander";
import { describeFailure, EXIT_FAILED, formatFailure, UsageError } from "./failure.js";
import { Output } from "./output.js";

/** What a command needs of the process it runs in. */
export interface CommandContext {
  readonly output: Output;
  readonly stdin: Readable;
  readonly stderr: NodeJS.WriteStream;
  /** Set by a command that was interrupted; a failure counts for more. */
  exitCode: number;
}

/** Adds one command to the tree. */
export type CommandBuilder = (context: CommandContext) => Command;

export interface ProgramStreams {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: NodeJS.WriteStream;
}

/** Runs one command line (without node and the script) and resolves to the exit code: 0 only on success. */
export async function runProgram(
  parameters: readonly string[],
  streams: ProgramStreams,
  builders: readonly CommandBuilder[],
): Promise<number> {
  const json = asksForJson(parameters);
  const context: CommandContext = {
    output: new Output(streams.stdout, json),
    stdin: streams.stdin,
    stderr: streams.stderr,
    exitCode: 0,
  };
  const said: string[] = [];
  const program = buildProgram(context, builders, said);
  try {
    await program.parseAsync(parameters, { from: "user" });
    await context.output.flush();
    return context.exitCode;
  } catch (error) {
    const thrown = error instanceof CommanderError ? readCommanderError(error) : error;
    if (thrown === null) {
      streams.stdout.write(said.join(""));
      return 0;
    }
    await context.output.flush().catch(() => {});
    if (error instanceof CommanderError && error.code === "commander.help") {
      streams.stderr.write(said.join(""));
      return EXIT_FAILED;
    }
    const failure = describeFailure(thrown);
    streams.stderr.write(`${formatFailure(failure, json)}\n`);
    return failure.exitCode;
  }
}

function buildProgram(context: CommandContext, builders: readonly CommandBuilder[], said: string[]): Command {
  const program = new Command("varve")
    .description("An embedded event store: protobuf events, a durable log, a bi-temporal graph.")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpCommand("help [command]", "show the help of a command")
    .showHelpAfterError(false);
  const settings = (command: Command): void => {
    command.exitOverride().configureOutput({
      writeOut: (text) => said.push(text),
      writeErr: (text) => said.push(text),
      outputError: () => {},
    });
    for (const child of command.commands) settings(child);
  };
  for (const build of builders) program.addCommand(build(context));
  settings(program);
  return program;
}

/** Null where the command line only asked for help or the version. */
function readCommanderError(error: CommanderError): UsageError | null {
  if (error.exitCode === 0) return null;
  return new UsageError(error.message.replace(/^error: /, ""), { cause: error });
}

// Also a command line that cannot be parsed is answered in the form that it asks for.
function asksForJson(parameters: readonly string[]): boolean {
  const end = parameters.indexOf("--");
  return parameters.slice(0, end === -1 ? undefined : end).includes("--json");
}

// The package's own name finds its package.json from dist/ and from build/ alike.
function packageVersion(): string {
  const manifest: unknown = createRequire(import.meta.url)("varve/package.json");
  return (manifest as { readonly version: string }).version;
}
