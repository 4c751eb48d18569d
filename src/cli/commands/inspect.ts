import { existsSync } from "node:fs";
import type { Command } from "commander";
import { StoreError } from "../../errors.js";
import { coreDirectory, inspectSegment, type SegmentItem, segmentPath } from "../../wal/index.js";
import { type CommonOptions, storeCommand } from "../arguments.js";
import { EXIT_FAILED } from "../failure.js";
import { formatInstant } from "../instant.js";
import type { CommandContext } from "../program.js";

const FIRST_CORE = 0;

export function inspectCommand(context: CommandContext): Command {
  return storeCommand("inspect", "show every frame's header in a segment file of the log")
    .argument("<segment>", "the segment's number in the store, or the path of its file")
    .addHelpText("after", "\nEnds with exit code 1 when anything in the file is damaged.")
    .action(async (segment: string, { store }: CommonOptions) => {
      const path = findSegment(store, segment);
      for await (const item of inspectSegment(path)) {
        if (context.output.gone.aborted) break;
        if (isDamaged(item)) context.exitCode = EXIT_FAILED;
        await context.output.print(printable(item), () => formatItem(item));
      }
    });
}

function findSegment(store: string, segment: string): string {
  const path = /^\d+$/.test(segment) ? segmentPath(coreDirectory(store, FIRST_CORE), Number(segment)) : segment;
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
  if (item.kind === "frame") return { ...item, header: { ...item.header, storeId: hex(item.header.storeId) } };
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
      const { kind, firstLsn, recordCount, storedBytes, recordedAt, durableLsn, headerCrc } = item.header;
      const lsns = recordCount === 0 ? "no records" : `LSN ${firstLsn}…${firstLsn + recordCount - 1}`;
      const trouble = isDamaged(item) ? `  BODY ${item.body}${item.isAtItsPlace ? "" : ", NOT AT ITS PLACE"}` : "";
      return `${offset}  ${kind.padEnd(8)}  ${lsns}, ${storedBytes} bytes, ${formatInstant(recordedAt)}, attests ${durableLsn}, crc ${headerCrc.toString(16).padStart(8, "0")}${trouble}`;
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
