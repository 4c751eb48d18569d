import type { Command } from "commander";
import { StoreError } from "../../errors.js";
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
        // Opening checks every checksum of the log and that no LSN is missing; what is left are the events themselves.
        await withReader(store, schema, async (reader) => {
          const versions = new Map<string, number>();
          const undecoded = new Set<string>();
          let lsn = 0;
          for await (const events of reader.readBatches(0)) {
            for (const event of events) {
              if (event.lsn !== lsn + 1) throw broken(`LSN ${event.lsn} follows LSN ${lsn}`, event.lsn);
              lsn = event.lsn;
              const version = (versions.get(event.stream) ?? 0) + 1;
              if (event.version !== version)
                throw broken(`${event.stream} has version ${event.version} after ${version - 1}`, lsn);
              versions.set(event.stream, version);
              if (!isDecodable(event)) undecoded.add(event.type);
              // Decoded when it is read.
              void event.metadata;
            }
            progress.update(() => `${formatCount(lsn)} of ${formatCount(reader.watermark)} events`);
          }
          if (lsn !== reader.watermark) throw broken(`the log ends at LSN ${lsn}, not at ${reader.watermark}`, lsn);
          progress.stop();
          const undecodedTypes = [...undecoded];
          const result = { ok: true, events: lsn, streams: versions.size, undecodedTypes, recovery: reader.recovery };
          await output.print(result, () => {
            const sum = `${formatCount(lsn)} events in ${formatCount(versions.size)} streams: all there, nothing damaged`;
            if (undecoded.size === 0) return sum;
            return `${sum}\nnot decoded, for want of their --schema: ${undecodedTypes.join(", ")}`;
          });
        });
      } finally {
        progress.stop();
      }
    });
}

function broken(what: string, lsn: number): StoreError {
  return new StoreError("ERR_WAL_CORRUPT", `the log is whole but its events are not: ${what}`, { lsn });
}
