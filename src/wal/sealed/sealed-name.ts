/** Names of sealed segments: `log/0000000001.seal`, and `….seal.tmp` while one is being made. */

import { readdir, unlink } from "node:fs/promises";
import { join } from "node:path";

const DIGITS = 10;
const SEALED_NAME = /^(\d{10})\.seal(\.tmp)?$/;

export function sealedDirectory(storeDirectory: string): string {
  return join(storeDirectory, "log");
}

export function sealedPath(directory: string, number: number): string {
  return join(directory, `${String(number).padStart(DIGITS, "0")}.seal`);
}

export function temporaryPath(directory: string, number: number): string {
  return `${sealedPath(directory, number)}.tmp`;
}

export interface SealedName {
  readonly number: number;
  readonly path: string;
  readonly isTemporary: boolean;
}

/** The files of sealed segments in a directory by number; none where the directory does not exist. */
export async function listSealed(directory: string): Promise<SealedName[]> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  const found: SealedName[] = [];
  for (const name of names) {
    const match = SEALED_NAME.exec(name);
    if (match === null) continue;
    found.push({ number: Number(match[1]), path: join(directory, name), isTemporary: match[2] !== undefined });
  }
  return found.sort((a, b) => a.number - b.number);
}

/** A number that no file there has or had while it is listed: the names of removed segments are not used again. */
export async function nextSealedNumber(
  directory: string,
  listed: readonly { readonly number: number }[],
): Promise<number> {
  const numbers = [...(await listSealed(directory)), ...listed].map((file) => file.number);
  return Math.max(0, ...numbers) + 1;
}

/**
 * Removes what no manifest lists: segments that were being made when a run ended, and those that were replaced. The caller
 * lets nobody make one meanwhile. Returns the paths of the removed files.
 */
export async function removeUnlisted(
  directory: string,
  listed: readonly { readonly number: number }[],
): Promise<string[]> {
  const kept = new Set(listed.map((entry) => entry.number));
  const removed: string[] = [];
  for (const file of await listSealed(directory)) {
    if (!file.isTemporary && kept.has(file.number)) continue;
    await unlink(file.path);
    removed.push(file.path);
  }
  return removed;
}
