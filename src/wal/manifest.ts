/**
 * The manifest: what the store is, where each incarnation of its log ended, and what of it lies in sealed segments.
 *
 * A file `manifest-NNNNNNNNNN` of two lines, so that a person can read it:
 *
 *     varve-manifest 2 1a2b3c4d
 *     {"sequence":3,"storeId":"…","createdAt":1763700000000000,"checkpointLsn":0,"sealed":[],"incarnations":[…]}
 *
 * The first line has the format version and, in hexadecimal, the CRC-32C of what stands before it and of the second line. A manifest is never changed: the
 * next one is written under the next sequence number (temporary name, fsync, rename, fsync of the directory), and the last two are
 * kept. The newest that holds its CRC counts. An older one is as good only while no frame of a later incarnation exists; recovery checks.
 *
 * An incarnation is the time from one recovery to the end of the last writer. `lastLsn` is null until it was closed or fenced; frames of it
 * above `lastLsn` were never acknowledged and are not part of the log. `firstLsn` can lie below the incarnation before's `lastLsn` + 1:
 * recovery then wrote the records whose durability nobody had attested a second time, and the two copies are the same. `firstSegments`
 * says by core which segments belong to it: those from that number on, up to the next incarnation's. A core beyond the list begins at 1.
 * `voids` are LSNs that a dead writer had taken and that hold no record: never acknowledged, and counted as filled.
 *
 * All records with LSN ≤ `checkpointLsn` lie in the sealed segments, and their files in `wal/` may be gone; 0 means that none are sealed.
 * Those with LSN ≤ `horizonLsn`, which is 0 or the last LSN of a sealed segment, were dropped by a truncation of the log: their segments have
 * only what the versions of streams and the hash chain need, and streams that were spared. A manifest without it has 0.
 *
 * `backup` is there in a backup only, whose `wal/` has no segments: it says when that was taken. Who opens it for writing leaves it out.
 *
 * `encryption` is there where the store is encrypted (crypt/store-encryption.ts): then the manifest is of version 3, which a Varve that knows
 * nothing of keys refuses. Others are of version 2.
 *
 * Version 1, which is still read, knew one core: `firstSegment` in place of `firstSegments`, no voids, no checkpoint.
 */

import { readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { StoreError } from "../errors.js";
import { readSmallFile, replaceFile } from "../ffi/index.js";
import { checksum } from "./checksum.js";
import type { StoreEncryption } from "./crypt/store-encryption.js";
import type { LsnRange } from "./lsn-ranges.js";
import { manifestOf, namesUnknownCipher, upgradedFromVersion1 } from "./manifest-shape.js";
import type { SealedEntry } from "./sealed/sealed-entry.js";

export interface Incarnation {
  readonly incarnation: number;
  readonly firstLsn: number;
  readonly lastLsn: number | null;
  /** By core. */
  readonly firstSegments: readonly number[];
  /** Ascending and disjoint. */
  readonly voids: readonly LsnRange[];
}

/** Of a backup. */
export interface BackupMark {
  /** µs since 1970: what was recorded up to then, and before what is not in the backup, is in it. */
  readonly takenAt: number;
}

export interface Manifest {
  readonly sequence: number;
  /** 32 hexadecimal digits. */
  readonly storeId: string;
  /** µs since 1970. */
  readonly createdAt: number;
  /** 0: no checkpoint yet. */
  readonly checkpointLsn: number;
  /** 0: nothing was dropped. */
  readonly horizonLsn: number;
  /** In ascending order. */
  readonly sealed: readonly SealedEntry[];
  /** In ascending order. Those without files are left out, but for the newest. */
  readonly incarnations: readonly Incarnation[];
  /** Of a backup that nobody has opened for writing. */
  readonly backup?: BackupMark | undefined;
  /** Of a store that is encrypted. */
  readonly encryption?: StoreEncryption | undefined;
}

/** In the place of one that cannot be read. */
export const NO_MANIFEST: Manifest = {
  sequence: 0,
  storeId: "",
  createdAt: 0,
  checkpointLsn: 0,
  horizonLsn: 0,
  sealed: [],
  incarnations: [],
};

const PLAIN_VERSION = 2;
const MANIFEST_VERSION = 3;
const FIRST_VERSION = 1;
export const MANIFEST_NAME: RegExp = /^manifest-(\d{10})$/;
const KEPT_COUNT = 2;

export function manifestName(sequence: number): string {
  return `manifest-${String(sequence).padStart(10, "0")}`;
}

/** The first segment of an incarnation in a core. */
export function firstSegmentOf(incarnation: Incarnation, core: number): number {
  return incarnation.firstSegments[core] ?? 1;
}

/** The voids of the whole log. */
export function voidsOf(manifest: Manifest): LsnRange[] {
  return manifest.incarnations.flatMap(({ voids }) => voids);
}

export function encodeManifest(manifest: Manifest): Buffer {
  const version = manifest.encryption === undefined ? PLAIN_VERSION : MANIFEST_VERSION;
  const start = Buffer.from(`varve-manifest ${version} `);
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
  if (Number(version) > MANIFEST_VERSION) return { kind: "newer", version: Number(version) };
  const fields = parsed(body);
  if (namesUnknownCipher(fields)) return { kind: "newer", version: Number(version) };
  const manifest = manifestOf(Number(version) === FIRST_VERSION ? upgradedFromVersion1(fields) : fields);
  return manifest === null ? { kind: "damaged" } : { kind: "manifest", manifest };
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return null;
  }
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

async function readWhereThere(path: string): Promise<Buffer | null> {
  try {
    return await readSmallFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** The newest manifest that can be believed, and which ones cannot. */
export async function readManifest(directory: string): Promise<FoundManifest> {
  const damagedFiles: string[] = [];
  for (const name of await manifestNames(directory)) {
    const path = join(directory, name);
    const bytes = await readWhereThere(path);
    if (bytes === null) return readManifest(directory); // a writer has just removed it, so there are newer ones
    const decoded = decodeManifest(bytes);
    if (decoded.kind === "manifest") return { kind: "manifest", manifest: decoded.manifest, damagedFiles };
    if (decoded.kind === "newer") return decoded;
    damagedFiles.push(path);
  }
  return damagedFiles.length === 0 ? { kind: "absent" } : { kind: "damaged", files: damagedFiles };
}

/** The sealed segments that any manifest lists; null where one cannot be read, which may list others. */
export async function listedSegments(directory: string): Promise<SealedEntry[] | null> {
  const listed: SealedEntry[] = [];
  for (const name of await manifestNames(directory)) {
    const bytes = await readWhereThere(join(directory, name));
    const decoded = bytes === null ? null : decodeManifest(bytes);
    if (decoded?.kind !== "manifest") return null;
    listed.push(...decoded.manifest.sealed);
  }
  return listed;
}

/** Puts the manifest in place durably, reads it back, then removes all but the last two. */
export async function writeManifest(directory: string, manifest: Manifest): Promise<void> {
  const path = join(directory, manifestName(manifest.sequence));
  const bytes = encodeManifest(manifest);
  await replaceFile(path, bytes);
  if (!bytes.equals(await readSmallFile(path))) {
    throw new StoreError("ERR_IO_FAILED", `${path} does not read back as it was written`, { path });
  }
  for (const name of (await manifestNames(directory)).slice(KEPT_COUNT)) await unlink(join(directory, name));
}
