#!/usr/bin/env node
/** The command line's entry: the real process around `runProgram`. */

import { COMMANDS } from "./commands/index.js";
import { runProgram } from "./program.js";

process.exitCode = await runProgram(process.argv.slice(2), process, COMMANDS);
