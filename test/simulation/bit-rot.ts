/** A bit of what lies on a disk that is not any more what was written. */

import type { Chance } from "./chance.js";
import type { SimulatedDisk } from "./simulated-disk.js";

/** What only the living share: it is made anew by whoever opens a store. */
const SHARED_MEMORY = /\/(control|heads)/;

const PAGE_BYTES = 4096;

export interface RottenBit {
  readonly path: string;
  /** Of its byte. */
  readonly offset: number;
}

/** Null where there is nothing to rot. */
export function rotBit(disk: SimulatedDisk, below: string, chance: Chance): RottenBit | null {
  const files = disk
    .files()
    .filter(([path, file]) => path.startsWith(below) && file.size > 0 && !SHARED_MEMORY.test(path));
  if (files.length === 0) return null;
  const [path, file] = chance.pick(files);
  const { pageNumbers } = file;
  if (pageNumbers.length === 0) return null;
  return { path, offset: file.flipBit(chance.pick(pageNumbers), chance) };
}

/** A bit of the page at that offset of a file. */
export function rotPage(disk: SimulatedDisk, path: string, offset: number, chance: Chance): RottenBit | null {
  const [, file] = disk.files().find(([name]) => name === path) ?? [];
  if (file === undefined || offset >= file.size) return null;
  return { path, offset: file.flipBit(Math.floor(offset / PAGE_BYTES), chance) };
}
