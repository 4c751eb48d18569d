/** How a file of subject keys comes to its name: written beside it, durable, and then renamed. */

import { closeSync, constants, existsSync, ftruncateSync, openSync, unlinkSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { syncDirectory } from "../../ffi/index.js";
import { packedSubjectRecords, SUBJECT_BLOCK_BYTES } from "./subject-block.js";
import { dataSync, failed, lock, overwrite, writeAt } from "./subject-file-calls.js";

const FILE_MODE = 0o600;
const TEMPORARY_SUFFIX = ".tmp";

/**
 * Makes a file that has a header and no records; does nothing where there is one. It has its name when it is durable and not before, so that a file
 * of that name whose header is not whole is none that somebody has just begun.
 */
export async function makeSubjectFile(path: string, header: Buffer, busyWaitMs: number): Promise<void> {
  const temporary = path + TEMPORARY_SUFFIX;
  let fd = -1;
  try {
    fd = openSync(temporary, constants.O_RDWR | constants.O_CREAT, FILE_MODE);
    // Who has it may be making the file.
    await lock(fd, temporary, busyWaitMs);
    if (existsSync(path)) return;
    ftruncateSync(fd, 0);
    writeAt(fd, Buffer.concat([header, Buffer.alloc(SUBJECT_BLOCK_BYTES - header.length)]), 0, temporary);
    await dataSync(fd);
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    throw failed(error, path);
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

/** Puts a file with these records at the path, durably and all or nothing. They are gone through once. */
export async function putSubjectFile(path: string, header: Buffer, records: Iterable<Buffer>): Promise<void> {
  const temporary = path + TEMPORARY_SUFFIX;
  try {
    const handle = await open(temporary, "w", FILE_MODE);
    try {
      await handle.write(header);
      await handle.write(Buffer.alloc(SUBJECT_BLOCK_BYTES - header.length));
      for (const bytes of packedSubjectRecords(records)) await handle.write(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    throw failed(error, path);
  }
}

/** Overwrites and removes what a replacement left that was interrupted: it has keys that may be destroyed here by now. */
export async function removeTemporary(path: string): Promise<void> {
  const temporary = path + TEMPORARY_SUFFIX;
  try {
    if (!existsSync(temporary)) return;
    const fd = openSync(temporary, constants.O_RDWR);
    try {
      overwrite(fd);
      await dataSync(fd);
    } finally {
      closeSync(fd);
    }
    unlinkSync(temporary);
    await syncDirectory(dirname(path));
  } catch (error) {
    throw failed(error, temporary);
  }
}
