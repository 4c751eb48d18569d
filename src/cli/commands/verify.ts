import type { Command } from "commander";
import { StoreError } from "../../errors.js";
import type { LsnRange } from "../../events/index.js";
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
        // Opening checks every checksum of what is not sealed and that no LSN is missing; `verifySealed` does so for what is. What is left are
        // the events themselves, over both.
        await withReader(options, schema, async (reader) => {
          const sealed = await reader.verifySealed();
          let sealedCount = 0;
          const versions = new Map<string, number>();
          const undecoded = new Set<string>();
          let lsn = sealed.horizon;
          let eventCount = 0;
          for await (const events of reader.readBatches(sealed.horizon)) {
            for (const event of events) {
              // Which LSNs the sealed segments lack for good they say themselves, and their counts must agree with what is read here.
              const expected = behindVoids(reader.voids, Math.max(lsn, sealed.lastLsn));
              const follows = event.lsn > sealed.lastLsn ? event.lsn === expected : event.lsn > lsn;
              if (!follows) throw broken(`LSN ${event.lsn} follows LSN ${lsn}`, event.lsn);
              lsn = event.lsn;
              if (lsn <= sealed.lastLsn) sealedCount++;
              eventCount++;
              // Where records were removed, those of the first versions were.
              const known = versions.get(event.stream) ?? (sealed.removedLsns > 0 ? event.version - 1 : 0);
              const version = known + 1;
              if (event.version !== version)
                throw broken(`${event.stream} has version ${event.version} after ${version - 1}`, lsn);
              versions.set(event.stream, version);
              if (!isDecodable(event)) undecoded.add(event.type);
              // Decoded when it is read.
              void event.metadata;
            }
            progress.update(() => `${formatCount(lsn)} of ${formatCount(reader.watermark)} events`);
          }
          const sealedExpected = sealed.records - sealed.sparedRecords;
          if (sealedCount !== sealedExpected)
            throw broken(`${sealedCount} of ${sealedExpected} sealed events were read`, sealed.lastLsn);
          if (behindVoids(reader.voids, Math.max(lsn, sealed.lastLsn)) <= reader.watermark)
            throw broken(`the log ends at LSN ${lsn}, not at ${reader.watermark}`, lsn);
          progress.stop();
          const undecodedTypes = [...undecoded];
          const events = eventCount;
          const voidLsns = reader.watermark - eventCount - sealed.sparedRecords - sealed.removedLsns;
          const result = {
            ok: true,
            events,
            lastLsn: lsn,
            voidLsns,
            streams: versions.size,
            sealed,
            undecodedTypes,
            recovery: reader.recovery,
          };
          await output.print(result, () => {
            const removed = sealed.removedLsns === 0 ? "" : `, ${formatCount(sealed.removedLsns)} were removed`;
            const sum = `${formatCount(eventCount)} events in ${formatCount(versions.size)} streams: all there, nothing damaged${removed}`;
            if (undecoded.size === 0) return sum;
            return `${sum}\nnot decoded, for want of their --schema: ${undecodedTypes.join(", ")}`;
          });
        });
      } finally {
        progress.stop();
      }
    });
}

/** The LSN that the next event has: a void belongs to a writer that died with it. */
function behindVoids(voids: readonly LsnRange[], lsn: number): number {
  let next = lsn + 1;
  for (const [from, through] of voids) if (next >= from && next <= through) next = through + 1;
  return next;
}

function broken(what: string, lsn: number): StoreError {
  return new StoreError("ERR_WAL_CORRUPT", `the log is whole but its events are not: ${what}`, { lsn });
}
