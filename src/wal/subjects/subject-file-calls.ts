/** What is asked of the system for a file of subject keys, and how its refusals are told. */

import { fdatasync, fstatSync, writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { StoreError } from "../../errors.js";
import { flockExclusive } from "../../ffi/index.js";
import { asStoreError, isLackOfSpace } from "../write-failure.js";

const LOCK_RETRY_MS = 2;
const ZEROS_BYTES: number = 256 * 1024;

/** The flock(2) of an open file. @throws StoreError `ERR_STORE_BUSY` */
export async function lock(fd: number, path: string, busyWaitMs: number): Promise<void> {
  const startedMs = performance.now();
  while (flockExclusive(fd) !== 0) {
    if (performance.now() - startedMs > busyWaitMs) {
      const message = `${path} has been locked by another for ${busyWaitMs} ms`;
      throw new StoreError("ERR_STORE_BUSY", message, { path, waitMs: busyWaitMs });
    }
    await delay(LOCK_RETRY_MS);
  }
}

export function writeAt(fd: number, bytes: Buffer, offset: number, path: string): void {
  const length = writeSync(fd, bytes, 0, bytes.length, offset);
  if (length < bytes.length) throw shortWrite(path, length, bytes.length);
}

export function overwrite(fd: number): void {
  const zeros = Buffer.alloc(ZEROS_BYTES);
  const { size } = fstatSync(fd);
  for (let at = 0; at < size; ) at += writeSync(fd, zeros, 0, Math.min(zeros.length, size - at), at);
}

export function dataSync(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(fd, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}

function shortWrite(path: string, length: number, wanted: number): StoreError {
  const message = `${path}: wrote ${length} of ${wanted} bytes`;
  return new StoreError("ERR_IO_FAILED", message, { path, errno: "ENOSPC" });
}

export function failed(cause: unknown, path: string): StoreError {
  const known = asStoreError(cause);
  if (known.code !== "ERR_IO_FAILED") return known;
  const details = { ...known.details, path };
  const { errno } = details as { errno?: unknown };
  if (errno === "ENOENT") {
    return new StoreError("ERR_KEY_MISSING", `the file of subject keys ${path} is missing`, details, { cause });
  }
  if (isLackOfSpace(known)) {
    return new StoreError("ERR_WAL_FULL", `no space for a key in ${path}; nothing was written`, details, { cause });
  }
  return new StoreError("ERR_IO_FAILED", `the file of subject keys ${path}: ${known.message}`, details, { cause });
}
