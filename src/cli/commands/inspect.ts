import { existsSync } from "node:fs";
import type { Command } from "commander";
import { StoreError } from "../../errors.js";
import { coreDirectory, inspectSealed, inspectSegment, type SegmentItem, segmentPath } from "../../wal/index.js";
import { type CommonOptions, keylessCommand, wholeNumber } from "../arguments.js";
import { EXIT_FAILED } from "../failure.js";
import { formatInstant } from "../instant.js";
import type { CommandContext } from "../program.js";
import { formatParts, isSealedDamage, printableParts } from "../sealed-item.js";

const FIRST_CORE = 0;

interface InspectOptions extends CommonOptions {
  readonly core: number;
}

export function inspectCommand(context: CommandContext): Command {
  return keylessCommand("inspect", "show what a segment file holds: frames, or the parts of a sealed segment")
    .argument("<segment>", "the segment's number among those of a core, or the path of any segment's file")
    .option("--core <number>", "the core whose segment is meant by a number", wholeNumber(0), FIRST_CORE)
    .addHelpText(
      "after",
      "\nEnds with exit code 1 when anything in the file is damaged. It needs no key, and shows nothing that is encrypted.",
    )
    .action(async (segment: string, { store, core }: InspectOptions) => {
      const path = findSegment(store, segment, core);
      if (/\.seal(\.tmp)?$/.test(path)) return inspectSealedFile(context, path);
      for await (const item of inspectSegment(path)) {
        if (context.output.gone.aborted) break;
        if (isDamaged(item)) context.exitCode = EXIT_FAILED;
        await context.output.print(printable(item), () => formatItem(item));
      }
    });
}

async function inspectSealedFile(context: CommandContext, path: string): Promise<void> {
  const { output } = context;
  for await (const item of inspectSealed(path)) {
    if (output.gone.aborted) break;
    if (isSealedDamage(item)) context.exitCode = EXIT_FAILED;
    if (output.json) for (const part of printableParts(item)) await output.print(part, () => "");
    else await output.print(item, () => formatParts(item));
  }
}

function findSegment(store: string, segment: string, core: number): string {
  const path = /^\d+$/.test(segment) ? segmentPath(coreDirectory(store, core), Number(segment)) : segment;
  if (existsSync(path)) return path;
  throw new StoreError("ERR_STORE_NOT_FOUND", `there is no segment file ${path}`, { path });
}

function isDamaged(item: SegmentItem): boolean {
  if (item.kind === "frame") return item.body !== "valid" || !item.isAtItsPlace;
  return item.kind === "damaged" || item.kind === "unsupported";
}

// Identifiers read better in hexadecimal than as base64.
function printable(item: SegmentItem): object {
  if (item.kind === "preamble") {
    const { storeId, salt } = item.preamble;
    return { ...item, preamble: { ...item.preamble, storeId: hex(storeId), salt: hex(salt) } };
  }
  if (item.kind === "frame") {
    const { sealed: _, ...header } = item.header;
    return { ...item, header: { ...header, storeId: hex(header.storeId) } };
  }
  return item;
}

function formatItem(item: SegmentItem): string {
  const offset = String(item.fileOffset).padStart(10);
  switch (item.kind) {
    case "preamble": {
      const { storeId, core, incarnation, segment, firstPossibleLsn, version } = item.preamble;
      return `${offset}  preamble  format ${version}, store ${hex(storeId)}, core ${core}, incarnation ${incarnation}, segment ${segment}, from LSN ${firstPossibleLsn}`;
    }
    case "frame": {
      const { kind, firstLsn, recordCount, storedBytes, recordedAt, durableLsn, headerCrc, keyId } = item.header;
      const secret = keyId === 0 ? "" : `, encrypted with key ${keyId}: tag not checked`;
      const lsns = recordCount === 0 ? "no records" : `LSN ${firstLsn}…${firstLsn + recordCount - 1}`;
      const trouble = isDamaged(item) ? `  BODY ${item.body}${item.isAtItsPlace ? "" : ", NOT AT ITS PLACE"}` : "";
      return `${offset}  ${kind.padEnd(8)}  ${lsns}, ${storedBytes} bytes, ${formatInstant(recordedAt)}, attests ${durableLsn}, crc ${headerCrc.toString(16).padStart(8, "0")}${secret}${trouble}`;
    }
    case "unsupported":
      return `${offset}  UNSUPPORTED  ${item.reason}`;
    case "damaged":
      return `${offset}  DAMAGED   ${item.byteLength} bytes that are neither a frame nor zeros`;
    case "zeros":
      return `${offset}  zeros     ${item.byteLength} bytes`;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
