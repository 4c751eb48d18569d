import type { Command } from "commander";
import { Option } from "commander";
import { rekeyStore, type StoreRekeyReport } from "../../index.js";
import {
  type CommonOptions,
  type CompressionArguments,
  compressionOption,
  encryptionOf,
  storeCommand,
} from "../arguments.js";
import { UsageError } from "../failure.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";

interface RekeyOptions extends CommonOptions, CompressionArguments {
  readonly newKeyFile?: string;
  readonly newKeyEnv?: string;
}

const HELP = `
--key-file or --key-env is the key that the store has now, --new-key-file or --new-key-env the one that it is to have. A store that
is not encrypted is given none but the new one. Nobody else may have the store open. Interrupted, it is gone on with: until it was
made again, both keys are needed. A store with subject keys needs --subject-keys: they are sealed by the new key.`;

export function rekeyCommand(context: CommandContext): Command {
  return storeCommand("rekey", "encrypt everything in a store by another key, or a store that is not encrypted")
    .addOption(new Option("--new-key-file <file>", "a file with the new key").conflicts("newKeyEnv"))
    .addOption(new Option("--new-key-env <name>", "an environment variable with the new key"))
    .addOption(compressionOption())
    .addHelpText("after", HELP)
    .action((options: RekeyOptions) => rekey(context, options));
}

async function rekey({ output, stderr }: CommandContext, options: RekeyOptions): Promise<void> {
  const { store, newKeyFile, newKeyEnv, compression } = options;
  const key = newKeyFile !== undefined ? { file: newKeyFile } : newKeyEnv !== undefined ? { env: newKeyEnv } : null;
  if (key === null) throw new UsageError("give --new-key-file or --new-key-env");
  const { subjectKeys, ...places } = options;
  const known = encryptionOf(places);
  const otherKeys = known === null ? [] : [known.key, ...(known.otherKeys ?? [])];
  const progress = startProgress(stderr, "encrypting");
  try {
    const encryption = { key, otherKeys, ...(subjectKeys !== undefined && { subjectKeys }) };
    const report = await rekeyStore(store, { encryption, compression });
    progress.stop();
    await output.print(report, () => describe(report));
  } finally {
    progress.stop();
  }
}

function describe({ keyId, rewrittenSegments, rewrittenBytes, droppedKeys }: StoreRekeyReport): string {
  const written = `${formatCount(rewrittenSegments)} segments were written anew (${formatCount(rewrittenBytes)} bytes)`;
  const dropped = droppedKeys === 0 ? "" : `; ${formatCount(droppedKeys)} former keys are not needed any more`;
  return `everything is encrypted by key ${keyId}: ${written}${dropped}`;
}
