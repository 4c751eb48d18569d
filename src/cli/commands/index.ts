/** Every command, in the order of the help. */

import { Command } from "commander";
import type { CommandBuilder, CommandContext } from "../program.js";
import { appendCommand } from "./append.js";
import { doctorCommand } from "./doctor.js";
import { importGitCommand } from "./import-git.js";
import { importNdjsonCommand } from "./import-ndjson.js";
import { inspectCommand } from "./inspect.js";
import { readCommand } from "./read.js";
import { statsCommand } from "./stats.js";
import { verifyCommand } from "./verify.js";

export const COMMANDS: readonly CommandBuilder[] = [
  group("import", "import events from elsewhere", [importGitCommand, importNdjsonCommand]),
  appendCommand,
  readCommand,
  verifyCommand,
  statsCommand,
  inspectCommand,
  doctorCommand,
];

function group(name: string, summary: string, members: readonly CommandBuilder[]): CommandBuilder {
  return (context: CommandContext) => {
    const command = new Command(name).summary(summary).description(summary);
    for (const build of members) command.addCommand(build(context));
    return command;
  };
}
