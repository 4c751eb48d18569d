import type { Command } from "commander";
import { verifyEvents } from "../../events/index.js";
import { isEncrypted, verifyWithoutKeys } from "../../wal/index.js";
import { type CommonOptions, encryptionOf, schemaOption, storeCommand } from "../arguments.js";
import { isDecodable } from "../event-line.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withReader } from "../stores.js";

interface VerifyOptions extends CommonOptions {
  readonly schema?: readonly string[];
}

const HELP = `
Without the key of a store that is encrypted it checks what can be checked then: checksums, LSNs, and that nothing is missing;
the answer says what it could not check.`;

const UNCHECKED = ["authentication tags", "events", "versions of streams", "hash chain of records", "index of streams"];

async function verifyWithoutKey({ output, stderr }: CommandContext, store: string): Promise<void> {
  const progress = startProgress(stderr, "reading the log");
  try {
    const found = await verifyWithoutKeys(store);
    progress.stop();
    const { lastLsn, keyIds } = found;
    await output.print({ ok: true, isKeyless: true, ...found, unchecked: UNCHECKED }, () =>
      [
        `everything up to LSN ${formatCount(lastLsn)} is there and holds its checksums`,
        `not checked, for want of the key (${keyIds.join(", ")}): ${UNCHECKED.join(", ")}`,
      ].join("\n"),
    );
  } finally {
    progress.stop();
  }
}

export function verifyCommand(context: CommandContext): Command {
  const { output, stderr } = context;
  return storeCommand("verify", "read a whole store and check that nothing in it is damaged or missing")
    .addOption(schemaOption())
    .addHelpText("after", HELP)
    .action(async (options: VerifyOptions) => {
      const { store, schema = [] } = options;
      if (encryptionOf(options) === null && (await isEncrypted(store))) return verifyWithoutKey(context, store);
      const progress = startProgress(stderr, "reading the log");
      try {
        await withReader(options, schema, async (reader) => {
          const undecoded = new Set<string>();
          const verified = await verifyEvents(reader, (event) => {
            if (!isDecodable(event)) undecoded.add(event.type);
            progress.update(() => `${formatCount(event.lsn)} of ${formatCount(reader.watermark)} events`);
          });
          progress.stop();
          const undecodedTypes = [...undecoded];
          const { recovery, ...counts } = verified;
          const { sealed } = verified;
          const result = { ...counts, undecodedTypes, recovery };
          await output.print(result, () => {
            const removed = sealed.removedLsns === 0 ? "" : `, ${formatCount(sealed.removedLsns)} were removed`;
            const sum = `${formatCount(verified.events)} events in ${formatCount(verified.streams)} streams: all there, nothing damaged${removed}`;
            const { forgottenEvents, unopenedEvents } = verified;
            const lines = [sum];
            if (forgottenEvents > 0) lines.push(`${formatCount(forgottenEvents)} are of forgotten subjects`);
            if (unopenedEvents > 0)
              lines.push(`not looked into, for want of their --subject-keys: ${formatCount(unopenedEvents)} events`);
            if (undecoded.size > 0) lines.push(`not decoded, for want of their --schema: ${undecodedTypes.join(", ")}`);
            return lines.join("\n");
          });
        });
      } finally {
        progress.stop();
      }
    });
}
