/** Everything that a head table's files hold, read without going through the table. */

import {
  HeadLevel,
  hashName,
  LEVEL_0_PLACES,
  LEVEL_COUNT_WORD,
  LOCK_WORD,
  TENTATIVE_WORD,
  WANTED_WORD,
} from "../../../src/wal/head-level.js";

export interface HeadEntry {
  readonly entry: number;
  readonly name: string;
  /** What the index says, and what it should. */
  readonly hash: number;
  readonly expectedHash: number;
  /** Slot + 1, or 0. */
  readonly lock: number;
  readonly wanted: number;
  readonly tentative: number;
}

const INDEX_WORD = 1024;

export function headEntries(directory: string): HeadEntry[] {
  const found: HeadEntry[] = [];
  const root = HeadLevel.open(directory, 0);
  const levelCount = root.int32[LEVEL_COUNT_WORD] as number;
  root.close();
  for (let index = 0; index < levelCount; index++) {
    const level = HeadLevel.open(directory, index);
    const words = level.int32;
    for (let place = 0; place < LEVEL_0_PLACES << index; place++) {
      const hash = words[INDEX_WORD + 2 * place] as number;
      if (hash === 0) continue;
      const entry = level.firstEntry + (words[INDEX_WORD + 2 * place + 1] as number);
      const word = level.wordOf(entry);
      const name = level.nameOf(entry);
      found.push({
        entry,
        name: name.toString(),
        hash,
        expectedHash: hashName(name),
        lock: words[word + LOCK_WORD] as number,
        wanted: words[word + WANTED_WORD] as number,
        tentative: words[word + TENTATIVE_WORD] as number,
      });
    }
    level.close();
  }
  return found;
}
