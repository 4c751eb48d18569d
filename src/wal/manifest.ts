/**
 * The manifest: what the store is, and where each incarnation of its log ended.
 *
 * A file `manifest-NNNNNNNNNN` of two lines, so that a person can read it:
 *
 *     varve-manifest 1 1a2b3c4d
 *     {"sequence":3,"storeId":"…","createdAt":1763700000000000,"incarnations":[…]}
 *
 * The first line has the format version and, in hexadecimal, the CRC-32C of what stands before it and of the second line. A manifest is never changed: the
 * next one is written under the next sequence number (temporary name, fsync, rename, fsync of the directory), and the last two are
 * kept. The newest that holds its CRC counts. An older one is as good only while no frame of a later incarnation exists; recovery checks.
 *
 * An incarnation is one opening for writing. `lastLsn` is null until the incarnation was closed or fenced; frames of it above `lastLsn` were
 * never acknowledged and are not part of the log. `firstLsn` can lie below the incarnation before's `lastLsn` + 1: recovery then wrote
 * the records whose durability nobody had attested a second time, and the two copies are the same.
 */

import { readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { StoreError } from "../errors.js";
import { readSmallFile, replaceFile } from "../ffi/index.js";
import { checksum } from "./checksum.js";

export interface Incarnation {
  readonly incarnation: number;
  readonly firstSegment: number;
  readonly firstLsn: number;
  readonly lastLsn: number | null;
}

export interface Manifest {
  readonly sequence: number;
  /** 32 hexadecimal digits. */
  readonly storeId: string;
  /** µs since 1970. */
  readonly createdAt: number;
  /** In ascending order. Those without records are left out, but for the newest. */
  readonly incarnations: readonly Incarnation[];
}

const MANIFEST_VERSION = 1;
export const MANIFEST_NAME: RegExp = /^manifest-(\d{10})$/;
const KEPT_COUNT = 2;

export function encodeManifest(manifest: Manifest): Buffer {
  const start = Buffer.from(`varve-manifest ${MANIFEST_VERSION} `);
  const body = Buffer.from(JSON.stringify(manifest));
  const crc = crcOf(start, body).toString(16).padStart(8, "0");
  return Buffer.concat([start, Buffer.from(`${crc}\n`), body, Buffer.from("\n")]);
}

/** The version is covered too: one flipped bit must not make a manifest look like one of a newer Varve. */
function crcOf(start: Buffer, body: Buffer): number {
  return checksum(body, 0, body.length, checksum(start));
}

export type DecodedManifest =
  | { readonly kind: "manifest"; readonly manifest: Manifest }
  | { readonly kind: "damaged" }
  | { readonly kind: "newer"; readonly version: number };

export function decodeManifest(bytes: Buffer): DecodedManifest {
  const lineEnd = bytes.indexOf("\n");
  const first = /^(varve-manifest (\d+) )([0-9a-f]{8})$/.exec(bytes.toString("latin1", 0, Math.max(lineEnd, 0)));
  if (first === null || bytes.at(-1) !== 0x0a) return { kind: "damaged" };
  const [, start, version, crc] = first as unknown as readonly [string, string, string, string];
  const body = bytes.subarray(lineEnd + 1, bytes.length - 1);
  if (crcOf(Buffer.from(start), body) !== Number.parseInt(crc, 16)) return { kind: "damaged" };
  if (Number(version) !== MANIFEST_VERSION) return { kind: "newer", version: Number(version) };
  return { kind: "manifest", manifest: JSON.parse(body.toString()) as Manifest };
}

export type FoundManifest =
  | { readonly kind: "absent" }
  | { readonly kind: "damaged"; readonly files: readonly string[] }
  | { readonly kind: "newer"; readonly version: number }
  | { readonly kind: "manifest"; readonly manifest: Manifest; readonly damagedFiles: readonly string[] };

async function manifestNames(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory))
      .filter((name) => MANIFEST_NAME.test(name))
      .sort()
      .reverse();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** The newest manifest that can be believed, and which ones cannot. */
export async function readManifest(directory: string): Promise<FoundManifest> {
  const damagedFiles: string[] = [];
  for (const name of await manifestNames(directory)) {
    const path = join(directory, name);
    const decoded = decodeManifest(await readSmallFile(path));
    if (decoded.kind === "manifest") return { kind: "manifest", manifest: decoded.manifest, damagedFiles };
    if (decoded.kind === "newer") return decoded;
    damagedFiles.push(path);
  }
  return damagedFiles.length === 0 ? { kind: "absent" } : { kind: "damaged", files: damagedFiles };
}

/** Puts the manifest in place durably, reads it back, then removes all but the last two. */
export async function writeManifest(directory: string, manifest: Manifest): Promise<void> {
  const path = join(directory, `manifest-${String(manifest.sequence).padStart(10, "0")}`);
  const bytes = encodeManifest(manifest);
  await replaceFile(path, bytes);
  if (!bytes.equals(await readSmallFile(path))) {
    throw new StoreError("ERR_IO_FAILED", `${path} does not read back as it was written`, { path });
  }
  for (const name of (await manifestNames(directory)).slice(KEPT_COUNT)) await unlink(join(directory, name));
}
