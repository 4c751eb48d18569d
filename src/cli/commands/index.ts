/** Every command, in the order of the help. */

import type { CommandBuilder } from "../program.js";
import { doctorCommand } from "./doctor.js";

export const COMMANDS: readonly CommandBuilder[] = [doctorCommand];
