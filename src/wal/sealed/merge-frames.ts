/** Makes sealed segments of the log's frames. */

import { StoreError } from "../../errors.js";
import { checksum } from "../checksum.js";
import { RECORD_HEADER_BYTES } from "../format.js";
import type { SealedEntry } from "./sealed-entry.js";
import type { LogFrame, SealedRun } from "./sealed-format.js";
import { SEALED_BLOCK_BYTES_DEFAULT, SealedWriter, type SealedWriterOptions } from "./sealed-writer.js";

const NO_BYTES = Buffer.alloc(0);

export interface MergeOptions extends SealedWriterOptions {
  /** The last LSN to be sealed: the frames end with it, or a void does. */
  readonly through: number;
  /** recordedAt of the last record before, for voids with no frame behind them; 0 when there is none. */
  readonly recordedAt?: number;
  /** Ranges of LSNs that no record has, in order, both ends inclusive. */
  readonly voids?: readonly (readonly [number, number])[];
  /** Called after each run with the bytes of records so far. Throwing ends the merge. */
  readonly onProgress?: (recordBytes: number) => void;
}

/**
 * Writes the frames with LSNs in (`after.lsn`, `through`] into sealed segments. The frames come in LSN order; the first may begin below the
 * range, and records that came before may come again, as recovery leaves them.
 *
 * @throws StoreError `ERR_WAL_CORRUPT` when an LSN is missing that is no void, or a stream has a hole; `ERR_IO_FAILED` when writing or
 *   reading back fails. Then no segment is complete, or nobody lists it.
 */
export async function mergeFrames(
  frames: AsyncIterable<LogFrame>,
  options: MergeOptions,
): Promise<readonly SealedEntry[]> {
  const { through, voids = [], onProgress, blockBytes = SEALED_BLOCK_BYTES_DEFAULT } = options;
  const writer = new SealedWriter(options);
  let { recordedAt = 0 } = options;
  let recordBytes = 0;
  try {
    for await (const frame of frames) {
      const { firstLsn, recordCount } = frame.header;
      recordedAt = frame.header.recordedAt;
      await addVoids(writer, voids, firstLsn - 1, recordedAt);
      if (firstLsn + recordCount <= writer.nextLsn) continue;
      const rest = writer.nextLsn > firstLsn ? withoutFirst(frame, writer.nextLsn) : frame;
      for (const run of runsOfFrame(rest, blockBytes / 2)) {
        const pending = writer.add(run);
        if (pending !== null) await pending;
      }
      recordBytes += frame.body.length;
      onProgress?.(recordBytes);
    }
    await addVoids(writer, voids, through, recordedAt);
    if (writer.nextLsn !== through + 1) {
      const message = `the log is damaged: it ends before LSN ${writer.nextLsn}, and was to be sealed through ${through}`;
      throw new StoreError("ERR_WAL_CORRUPT", message, { lsn: writer.nextLsn, through });
    }
    return await writer.finish();
  } finally {
    await writer.abandon();
  }
}

/** The frame cut between records, into runs that have about so many bytes. */
export function runsOfFrame({ header, body }: LogFrame, runBytes: number): SealedRun[] {
  const runs: SealedRun[] = [];
  const { recordedAt } = header;
  let { firstLsn, recordCount } = header;
  let start = 0;
  if (body.length > runBytes) {
    let lsn = firstLsn;
    for (let at = 0; at + RECORD_HEADER_BYTES <= body.length; ) {
      at += RECORD_HEADER_BYTES + body.readUInt32LE(at);
      lsn++;
      if (at - start < runBytes || body.length - at < runBytes / 2) continue;
      const part = { firstLsn, recordCount: lsn - firstLsn, recordedAt };
      runs.push({ kind: "data", header: part, body: body.subarray(start, at), leaf: null, goesOn: true });
      recordCount -= part.recordCount;
      firstLsn = lsn;
      start = at;
    }
  }
  const rest = { firstLsn, recordCount, recordedAt };
  runs.push({ kind: "data", header: rest, body: body.subarray(start), leaf: null, goesOn: false });
  return runs;
}

/** The voids that begin where the writer is, up to `lastLsn`. */
async function addVoids(
  writer: SealedWriter,
  voids: readonly (readonly [number, number])[],
  lastLsn: number,
  recordedAt: number,
): Promise<void> {
  if (writer.nextLsn > lastLsn) return;
  for (const [from, through] of voids) {
    if (from > writer.nextLsn || through < writer.nextLsn || writer.nextLsn > lastLsn) continue;
    const header = {
      firstLsn: writer.nextLsn,
      recordCount: Math.min(through, lastLsn) - writer.nextLsn + 1,
      recordedAt,
    };
    await writer.add({ kind: "void", header, body: NO_BYTES, leaf: null, goesOn: false });
  }
}

/** The frame without the records below `firstLsn`, which are the same as others that came before. */
function withoutFirst(frame: LogFrame, firstLsn: number): LogFrame {
  const { body, header } = frame;
  let at = 0;
  for (let lsn = header.firstLsn; lsn < firstLsn; lsn++) at += RECORD_HEADER_BYTES + body.readUInt32LE(at);
  const rest = Buffer.from(body.subarray(at));
  let crc = 0;
  for (let from = 0; from < rest.length; ) {
    const start = from + RECORD_HEADER_BYTES;
    const end = start + rest.readUInt32LE(from);
    crc = checksum(rest, start, end, crc);
    rest.writeUInt32LE(crc, from + 4);
    from = end;
  }
  const recordCount = header.firstLsn + header.recordCount - firstLsn;
  return { header: { firstLsn, recordCount, recordedAt: header.recordedAt }, body: rest };
}
