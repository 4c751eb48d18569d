/**
 * Directories for tests, on a real filesystem: tmpfs has no O_DIRECT, and a test on it would prove nothing about disks.
 *
 * They lie below VARVE_TEST_DIR when that is set, else below the system's temporary directory, else (when that is a
 * tmpfs) below the project's build directory.
 */

import { mkdirSync, mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

// linux/magic.h
const TMPFS_MAGIC = 0x01021994;

const made: string[] = [];
let base: string | null = null;

/** Makes an empty directory; it is removed with everything in it when this process ends. */
export function temporaryDirectory(): string {
  base ??= chooseBase();
  const directory = mkdtempSync(join(base, "varve-"));
  if (made.length === 0) process.on("exit", removeAll);
  made.push(directory);
  return directory;
}

function chooseBase(): string {
  const given = process.env["VARVE_TEST_DIR"];
  const system = tmpdir();
  const chosen = given ?? (isTmpfs(system) ? fileURLToPath(new URL("../../tmp", import.meta.url)) : system);
  mkdirSync(chosen, { recursive: true });
  return chosen;
}

function isTmpfs(directory: string): boolean {
  return statfsSync(directory).type === TMPFS_MAGIC;
}

function removeAll(): void {
  for (const directory of made) rmSync(directory, { recursive: true, force: true });
}
