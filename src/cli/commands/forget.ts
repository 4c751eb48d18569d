import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { type CommonOptions, storeCommand } from "../arguments.js";
import { UsageError } from "../failure.js";
import { formatInstant } from "../instant.js";
import type { CommandContext } from "../program.js";
import { formatCount } from "../progress.js";
import { withExistingStore } from "../stores.js";

interface ForgetCommandOptions extends CommonOptions {
  readonly attestationKey?: string;
}

const HELP = `
Destroys the keys that the subject's events were encrypted by, in the file of subject keys, and says so in the log. The answer, with
--json, is an attestation: keep it, for 'varve restore --forgotten' takes it. It cannot be taken back.`;

export function forgetCommand({ output, stderr }: CommandContext): Command {
  return storeCommand("forget", "make the content of all events of a subject unreadable, for good")
    .argument("<subject>", "whom the events are about")
    .option("--attestation-key <file>", "an Ed25519 private key in PEM, by which the attestation is signed")
    .addHelpText("after", HELP)
    .action(async (subject: string, options: ForgetCommandOptions) => {
      if (options.subjectKeys === undefined) throw new UsageError("give --subject-keys");
      const { attestationKey } = options;
      const key = attestationKey === undefined ? {} : { attestationKey: pemIn(attestationKey) };
      await withExistingStore(options, stderr, async (store) => {
        const attestation = await store.forget(subject, key).catch(refuse);
        const { keyIds, lsn, forgottenAt } = attestation;
        await output.print(attestation, () =>
          keyIds.length === 0
            ? "no event was ever designated to this subject"
            : `forgotten since LSN ${formatCount(lsn)} (${formatInstant(forgottenAt)}): ${keyIds.length} keys destroyed`,
        );
      });
    });
}

/** A key that is none is wrong with the arguments. */
function refuse(error: unknown): never {
  if (error instanceof TypeError) throw new UsageError(error.message, { cause: error });
  throw error;
}

function pemIn(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new UsageError(`--attestation-key: ${path} cannot be read`, { cause });
  }
}
