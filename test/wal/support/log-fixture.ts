/** A log as the tests use it: appends of plain bytes, and all that can be read back. */

import { cpSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import type { IoDemand } from "../../../src/ffi/index.js";
import { openIo } from "../../../src/ffi/index.js";
import { RECORD_HEADER_BYTES } from "../../../src/wal/format.js";
import { LogView } from "../../../src/wal/log-view.js";
import type { RecordKey } from "../../../src/wal/record-key.js";
import type { LogFrame } from "../../../src/wal/sealed/sealed-format.js";
import { Wal } from "../../../src/wal/wal.js";
import type { WalOptions } from "../../../src/wal/wal-options.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";
import { type FaultyIo, faultyIo } from "./faulty-io.js";

export const KIBIBYTE = 1024;
export const MEBIBYTE = 1024 * 1024;

export const SEAL_WORKER: URL = new URL("./seal-worker.js", import.meta.url);

/** The bytes of record i have LSN i + 1. */
export type Records = string[];

export function recordsOf(frame: LogFrame): string[] {
  const records: string[] = [];
  for (let at = 0; at < frame.body.length; ) {
    const end = at + RECORD_HEADER_BYTES + frame.body.readUInt32LE(at);
    records.push(frame.body.toString("latin1", at + RECORD_HEADER_BYTES, end));
    at = end;
  }
  return records;
}

/** The record "name@version…" is of that stream. Others have no streams: each is a name of its own. */
export function keyOf(body: Buffer, start: number, end: number): RecordKey {
  const at = body.subarray(start, end).indexOf("@");
  if (at < 0) return { nameStart: start, nameEnd: end, version: 1 };
  return {
    nameStart: start,
    nameEnd: start + at,
    version: Number.parseInt(body.toString("latin1", start + at + 1, end), 10),
  };
}

export interface OpenedLog {
  readonly wal: Wal;
  /** What recovery delivered. */
  readonly recovered: Records;
  /** How often each record was delivered, in LSN order; for the recordedAt of frames and the like. */
  readonly frames: readonly LogFrame[];
}

/** With `onFrame` the frames go there, whatever their LSNs. */
export async function openLog(
  directory: string,
  options: Partial<WalOptions> = {},
  onFrame?: (frame: LogFrame) => void,
): Promise<OpenedLog> {
  const recovered: Records = [];
  const frames: LogFrame[] = [];
  const wal = await Wal.open(
    directory,
    {
      io: "auto" as IoDemand,
      segmentBytes: 64 * KIBIBYTE,
      flushIntervalMs: 5,
      busyWaitMs: 2_000,
      exclusive: false,
      maxWriters: 64,
      keyOf,
      sealWorker: SEAL_WORKER,
      onWaiting: () => {},
      ...options,
    },
    {
      onRecovered: () => {},
      onFrame:
        onFrame ??
        ((frame) => {
          if (frame.header.firstLsn !== recovered.length + 1)
            throw new Error(`LSN ${frame.header.firstLsn} was delivered after ${recovered.length}`);
          recovered.push(...recordsOf(frame));
          frames.push(frame);
        }),
    },
  );
  return { wal, recovered, frames };
}

/** Opens a log over a faulty I/O. */
export async function openFaulty(
  directory: string,
  options: Partial<WalOptions> = {},
): Promise<OpenedLog & { readonly faulty: FaultyIo }> {
  let faulty: FaultyIo | null = null;
  const opened = await openLog(directory, {
    ...options,
    openIo: (demand, path) => {
      faulty = faultyIo(openIo(demand, path));
      return faulty.io;
    },
  });
  return { ...opened, faulty: faulty as unknown as FaultyIo };
}

/** Appends the records as one append; resolves with the LSN of the first. */
export async function append(
  wal: Wal,
  records: readonly string[],
  demand: "now" | "turn" | "later" = "turn",
): Promise<number> {
  const byteLength = records.reduce((sum, record) => sum + record.length, 0);
  for (;;) {
    wal.assertWritable();
    const batch = wal.batchFor(records.length, byteLength, demand === "now");
    if (batch === null) {
      await wal.whenRoom();
      continue;
    }
    const index = batch.recordCount;
    for (const record of records) {
      batch.bytes.write(record, batch.recordOffset, "latin1");
      batch.addRecord(batch.recordOffset + record.length);
    }
    const done = new Promise<number>((resolve, reject) => {
      batch.tickets.push({ committed: (firstLsn) => resolve(firstLsn + index), failed: reject });
    });
    wal.demand(batch, demand);
    return done;
  }
}

/** What the log holds up to W, through its reader. */
export async function readLog(wal: Wal | LogView): Promise<Records> {
  const records: Records = [];
  for await (const frame of wal.frames(0, wal.watermark)) records.push(...recordsOf(frame));
  return records.slice(0, wal.watermark);
}

/** What a reader beside the store, who writes nothing, sees of it. */
export async function viewRecords(directory: string): Promise<Records> {
  const records: Records = [];
  const view = await LogView.open(directory, { onFrame: (frame) => records.push(...recordsOf(frame)) });
  try {
    return records.slice(0, view.watermark);
  } finally {
    await view.close();
  }
}

/** A copy of the store as a crash now would leave it: what was written is there, nobody holds it. */
export function copyStore(directory: string): string {
  const copy = join(temporaryDirectory(), "store");
  // What is only in memory a crash takes with it.
  const filter = (path: string): boolean => !path.endsWith("/control");
  cpSync(directory, copy, { recursive: true, preserveTimestamps: true, filter });
  return copy;
}

export function segmentFiles(directory: string): string[] {
  const core = join(directory, "wal", "core-000");
  return readdirSync(core)
    .filter((name) => name.endsWith(".wal"))
    .sort()
    .map((name) => join(core, name));
}

/** Every file below the directory with its bytes and its time of change, to see that nothing was touched. */
export function snapshot(directory: string): Map<string, { readonly bytes: Buffer; readonly mtimeMs: number }> {
  const found = new Map<string, { bytes: Buffer; mtimeMs: number }>();
  for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" }).sort()) {
    const path = join(directory, name);
    const { mtimeMs } = statSync(path);
    found.set(name, { bytes: statSync(path).isFile() ? readFileSync(path) : Buffer.alloc(0), mtimeMs });
  }
  return found;
}

/** The files that this process has open, without pipes and sockets. */
export function openFiles(): string[] {
  return readdirSync("/proc/self/fd")
    .map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return "";
      }
    })
    .filter((path) => path.startsWith("/") && !path.startsWith("/proc/") && !path.startsWith("/dev/"))
    .sort();
}

export function ringCount(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === "anon_inode:[io_uring]";
    } catch {
      return false;
    }
  }).length;
}
