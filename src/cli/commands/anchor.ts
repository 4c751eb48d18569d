import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { type CommonOptions, storeCommand } from "../arguments.js";
import { UsageError } from "../failure.js";
import type { CommandContext } from "../program.js";
import { startProgress } from "../progress.js";
import { withExistingStore } from "../stores.js";

const SUMMARY = "seal the log and print the head of its hash chain, for 'verify --anchor' later";

const HELP = `
Keep what it prints where who can write the store cannot: it shows later that the store still has the history that it has now.
A key for --sign-key: openssl genpkey -algorithm ed25519; its public half for verify: openssl pkey -pubout.`;

interface AnchorCommandOptions extends CommonOptions {
  readonly signKey?: string;
}

export function anchorCommand({ output, stderr }: CommandContext): Command {
  return storeCommand("anchor", SUMMARY)
    .option("--sign-key <file>", "sign it with this Ed25519 private key (PEM)")
    .addHelpText("after", HELP)
    .action(async (options: AnchorCommandOptions) => {
      const { signKey } = options;
      const signing = signKey === undefined ? {} : { signWith: readFileSync(signKey, "utf8") };
      const progress = startProgress(stderr, "sealing the log");
      try {
        await withExistingStore(options, stderr, async (store) => {
          const anchor = await store.anchor(signing);
          progress.stop();
          await output.print(anchor, () => JSON.stringify(anchor, null, 2));
        });
      } catch (error) {
        if (error instanceof TypeError) throw new UsageError(`--sign-key: ${error.message}`, { cause: error });
        throw error;
      } finally {
        progress.stop();
      }
    });
}
