import type { Command } from "commander";
import { verifyEvents } from "../../events/index.js";
import { type CommonOptions, schemaOption, storeCommand } from "../arguments.js";
import { isDecodable } from "../event-line.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withReader } from "../stores.js";

interface VerifyOptions extends CommonOptions {
  readonly schema?: readonly string[];
}

export function verifyCommand({ output, stderr }: CommandContext): Command {
  return storeCommand("verify", "read a whole store and check that nothing in it is damaged or missing")
    .addOption(schemaOption())
    .action(async ({ store, schema = [] }: VerifyOptions) => {
      const progress = startProgress(stderr, "reading the log");
      try {
        await withReader(store, schema, async (reader) => {
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
            if (undecoded.size === 0) return sum;
            return `${sum}\nnot decoded, for want of their --schema: ${undecodedTypes.join(", ")}`;
          });
        });
      } finally {
        progress.stop();
      }
    });
}
