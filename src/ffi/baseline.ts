/** What one durable 4 KiB write costs here without a store around it: the yardstick for the store's own latency. */

import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AlignedBuffer, BLOCK_BYTES } from "./aligned-buffer.js";
import type { BlockIo } from "./block-io.js";
import { checkResult, DirectFile } from "./direct-file.js";
import { openIo } from "./open-io.js";
import { Ring } from "./ring.js";

const FILE_BLOCKS = 1024;

export interface IoBaseline {
  /** A bare O_DIRECT|RWF_DSYNC write, awaited through the event loop, median. */
  readonly p50Ms: number;
  /** The same through a ring of the same kind, waited for inline, median; null where io_uring is not used. */
  readonly inlineP50Ms: number | null;
}

function median(samples: number[]): number {
  samples.sort((a, b) => a - b);
  return samples[samples.length >>> 1] ?? Number.NaN;
}

/** Measures `writeCount` writes of each kind into zero-written blocks of a file in `directory`, which is removed afterwards. */
export async function measureBaseline(directory: string, writeCount: number): Promise<IoBaseline> {
  const path = join(directory, `baseline-${process.pid}.tmp`);
  // A regular file for the choice of I/O to look at.
  await writeFile(path, "");
  const io = openIo("auto", path);
  const buffer = new AlignedBuffer(FILE_BLOCKS * BLOCK_BYTES);
  try {
    await rm(path);
    const file = await DirectFile.create(io, path);
    try {
      await file.allocate(buffer.byteLength);
      checkResult(await file.write(buffer, 0, buffer.byteLength, 0, true), "zeroing", path);
      const p50Ms = await measureAwaited(file, buffer, writeCount);
      return { p50Ms, inlineP50Ms: measureInline(io, file, buffer, writeCount) };
    } finally {
      await file.close();
    }
  } finally {
    await io.close();
    buffer.unmap();
    await rm(path, { force: true });
  }
}

async function measureAwaited(file: DirectFile, buffer: AlignedBuffer, writeCount: number): Promise<number> {
  const samples: number[] = [];
  for (let write = 0; write < writeCount; write++) {
    const begin = performance.now();
    const fileOffset = (write % FILE_BLOCKS) * BLOCK_BYTES;
    checkResult(await file.write(buffer, 0, BLOCK_BYTES, fileOffset, true), "write", file.path);
    samples.push(performance.now() - begin);
  }
  return median(samples);
}

function measureInline(io: BlockIo, file: DirectFile, buffer: AlignedBuffer, writeCount: number): number | null {
  const { driver } = io.description;
  if (driver === null) return null;
  const ring = Ring.open(driver);
  if (!(ring instanceof Ring)) return null;
  const samples: number[] = [];
  let result: number | null = null;
  const completion = {
    complete: (written: number) => {
      result = written;
    },
  };
  try {
    for (let write = 0; write < writeCount; write++) {
      const begin = performance.now();
      result = null;
      ring.write(file.fd, buffer, 0, BLOCK_BYTES, (write % FILE_BLOCKS) * BLOCK_BYTES, true, completion);
      while (result === null) ring.waitBlocking();
      checkResult(result, "write", file.path);
      samples.push(performance.now() - begin);
    }
  } finally {
    ring.close();
  }
  return median(samples);
}
