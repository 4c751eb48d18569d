/** Changing what the manifest says while the store is in use. Whoever does holds the attach lock: others write manifests too. */

import { assert } from "../assert.js";
import { StoreError } from "../errors.js";
import { type LsnRange, unionOf } from "./lsn-ranges.js";
import { type Manifest, readManifest, writeManifest } from "./manifest.js";

/** The newest manifest of a store that has one. */
export async function currentManifest(directory: string): Promise<Manifest> {
  const found = await readManifest(directory);
  if (found.kind === "manifest") return found.manifest;
  if (found.kind === "newer") {
    throw new StoreError("ERR_WAL_VERSION", `a newer version wrote the manifest (${directory})`, { directory });
  }
  const what = found.kind === "absent" ? "the manifest is missing" : "no manifest holds its checksum";
  throw new StoreError("ERR_WAL_CORRUPT", `${what} (${directory})`, { directory });
}

/** Reads the newest manifest and writes what `change` makes of it as the next one; the same object means that nothing changes. */
export async function changeManifest(directory: string, change: (manifest: Manifest) => Manifest): Promise<Manifest> {
  const before = await currentManifest(directory);
  const changed = change(before);
  if (changed === before) return before;
  const manifest = { ...changed, sequence: before.sequence + 1 };
  await writeManifest(directory, manifest);
  return manifest;
}

/** When the last writer has gone: the manifest says where the newest incarnation ended. */
export function endIncarnation(directory: string, lastLsn: number): Promise<Manifest> {
  return changeManifest(directory, (manifest) => {
    const newest = manifest.incarnations.at(-1);
    const incarnations = manifest.incarnations.map((entry) => (entry === newest ? { ...entry, lastLsn } : entry));
    return { ...manifest, incarnations };
  });
}

/** Says durably that these LSNs of the incarnation hold no records. Doing it twice changes nothing. */
export function addVoids(directory: string, incarnation: number, voids: readonly LsnRange[]): Promise<Manifest> {
  return changeManifest(directory, (manifest) => {
    const entry = manifest.incarnations.find((candidate) => candidate.incarnation === incarnation);
    assert(entry !== undefined && entry.lastLsn === null, "voids belong to the incarnation that is being written");
    const united = unionOf(entry.voids, voids);
    if (JSON.stringify(united) === JSON.stringify(entry.voids)) return manifest;
    const incarnations = manifest.incarnations.map((one) => (one === entry ? { ...entry, voids: united } : one));
    return { ...manifest, incarnations };
  });
}
