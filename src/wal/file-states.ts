/** Says which cores' files have changed since somebody looked: for readers beside writers that do not tell. */

import { stat } from "node:fs/promises";
import type { CoreFiles } from "./segment-name.js";

/** Of a core: the one that is full and still in flight, the one being filled, and the next one. */
const CHANGING_SEGMENTS_MAX = 3;

export class FileStates {
  /** By core: what changes whenever its writer has written, names, sizes and times of its segments. */
  #seen: ReadonlyMap<number, string> = new Map();

  /** Remembers the state of the files, and says which cores have changed. */
  async see(files: readonly CoreFiles[]): Promise<readonly CoreFiles[]> {
    const states = new Map<number, string>();
    for (const { core, segments } of files) states.set(core, await stateOf(segments));
    const changed = files.filter(({ core }) => states.get(core) !== this.#seen.get(core));
    this.#seen = states;
    return changed;
  }
}

async function stateOf(segments: CoreFiles["segments"]): Promise<string> {
  const parts = [`${segments.length}`];
  for (const { segment, path } of segments.slice(-CHANGING_SEGMENTS_MAX)) {
    const found = await stat(path).catch(() => null); // removed meanwhile: the next state differs
    if (found !== null) parts.push(`${segment}:${found.size}:${found.mtimeMs}`);
  }
  return parts.join(" ");
}
