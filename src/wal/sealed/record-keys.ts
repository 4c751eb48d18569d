/** Notes the records of a run in a table of streams. */

import { StoreError } from "../../errors.js";
import { RECORD_HEADER_BYTES } from "../format.js";
import type { KeyOf } from "../record-key.js";
import type { SealedRun } from "./sealed-format.js";
import { NAME_BYTES_MAX } from "./stream-page.js";
import type { StreamTable } from "./stream-table.js";

/**
 * Notes every record of the run, and returns how many of its records were removed.
 *
 * @throws StoreError `ERR_WAL_CORRUPT` when the body is no sequence of records, or a version does not follow.
 */
export function noteRecords(table: StreamTable, run: SealedRun, firstLsn: number, keyOf: KeyOf): number {
  const { header, body, kind, leaf } = run;
  if (kind === "removed" || kind === "dropped") return header.recordCount;
  if (kind === "void") return 0;
  let removedCount = 0;
  let at = 0;
  for (let index = 0; index < header.recordCount; index++) {
    const start = at + RECORD_HEADER_BYTES;
    if (start > body.length) throw malformed(run);
    const end = start + body.readUInt32LE(at);
    if (end > body.length) throw malformed(run);
    at = end;
    if (start === end && leaf !== null) {
      removedCount++;
      continue;
    }
    const { nameStart, nameEnd, version } = keyOf(body, start, end);
    if (nameEnd - nameStart > NAME_BYTES_MAX) throw tooLong(nameEnd - nameStart, header.firstLsn + index);
    table.queue(body, nameStart, nameEnd, version, header.firstLsn - firstLsn + index);
    if (table.isQueueFull) enterQueued(table, body, firstLsn);
  }
  enterQueued(table, body, firstLsn);
  if (at !== body.length) throw malformed(run);
  return removedCount;
}

function malformed(run: SealedRun): StoreError {
  const { firstLsn, recordCount } = run.header;
  const message = `the frame of LSNs ${firstLsn} to ${firstLsn + recordCount - 1} is no sequence of records`;
  return new StoreError("ERR_WAL_CORRUPT", message, { firstLsn, lastLsn: firstLsn + recordCount - 1 });
}

function enterQueued(table: StreamTable, body: Buffer, firstLsn: number): void {
  const lsnOffset = table.enter(body);
  if (lsnOffset === null) return;
  const lsn = firstLsn + lsnOffset;
  const message = `the version of LSN ${lsn} does not follow the one before in its stream`;
  throw new StoreError("ERR_WAL_CORRUPT", message, { lsn });
}

function tooLong(nameBytes: number, lsn: number): StoreError {
  const message = `the stream name of LSN ${lsn} takes ${nameBytes} bytes of at most ${NAME_BYTES_MAX}`;
  return new StoreError("ERR_WAL_CORRUPT", message, { lsn, nameBytes });
}
