/**
 * The stores that the fuzz damages: written by several cores over three incarnations, partly sealed, with voids, a graph and its checkpoint.
 *
 * `closed` was closed by its last writers, so that every record of it is attested. `crashed` is a copy that was made while they had it open:
 * its last records are whole, and nobody attests them. `encrypted` was closed too, by the second of two keys.
 */

import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type EncryptionOptions, openReader, openStore, type Store } from "../../src/index.js";
import { inspectSegment } from "../../src/wal/inspect-segment.js";
import { encodeManifest, type Manifest, readManifest } from "../../src/wal/manifest.js";
import { readGraph, readWhole, type StoreReading } from "./store-reading.js";

export const OPTIONS = { segmentBytes: 64 * 1024, checkpointWalBytes: 0, checkpointEntries: 0 } as const;

/** A frame header of the undamaged store, and what it attests. */
export interface AttestingHeader {
  /** Relative to the store. */
  readonly file: string;
  readonly fileOffset: number;
  readonly durableLsn: number;
}

export const STORE_NAMES = ["closed", "crashed", "encrypted"] as const;

export interface FuzzStore {
  readonly name: (typeof STORE_NAMES)[number];
  readonly directory: string;
  readonly encryption: EncryptionOptions | null;
  /** What a reader sees of it. */
  readonly read: StoreReading;
  /** The last LSN that a reader sees of it who has no control file to believe. */
  readonly attestedLsn: number;
  /** What its next writer finds: that, and what nobody attests. */
  readonly recovered: StoreReading;
  readonly graph: string;
  /** Files relative to the store, with their bytes. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** What files were before, oldest first, where they were something else. */
  readonly olderCopies: ReadonlyMap<string, readonly Buffer[]>;
  readonly attesting: readonly AttestingHeader[];
}

/** Not the head table: it is never read, but by writers that share it. */
function isDamaged(file: string): boolean {
  return !file.startsWith("heads-");
}

export function filesOf(directory: string): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" }).sort()) {
    const path = join(directory, name);
    if (isDamaged(name) && statSync(path).isFile()) files.set(name, readFileSync(path));
  }
  return files;
}

/** As a crash of the processes leaves it. */
export function copyOf(directory: string, target: string): string {
  rmSync(target, { recursive: true, force: true });
  cpSync(directory, target, { recursive: true, filter: (path) => !/\/heads-\d+$/.test(path) });
  return target;
}

class History {
  readonly #copies = new Map<string, Buffer[]>();

  take(directory: string): void {
    for (const [name, bytes] of filesOf(directory)) {
      const known = this.#copies.get(name) ?? [];
      if (known.at(-1)?.equals(bytes) !== true) known.push(bytes);
      this.#copies.set(name, known);
    }
  }

  olderThan(files: ReadonlyMap<string, Buffer>): Map<string, Buffer[]> {
    const older = new Map<string, Buffer[]>();
    for (const [name, copies] of this.#copies) {
      const now = files.get(name);
      const others = copies.filter((bytes) => now === undefined || !bytes.equals(now));
      if (now !== undefined && others.length > 0) older.set(name, others);
    }
    return older;
  }
}

let counter = 0;

async function write(writers: readonly Store[], rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const writer of writers) {
      const number = ++counter;
      await writer.append(`account-${number % 3}`, { type: "Deposited", data: { cents: number * 17 } });
    }
  }
  const [first] = writers;
  await first?.appendMany([
    { stream: "ledger", events: { type: "Booked", data: "x".repeat(300), id: `booking-${++counter}` } },
    { stream: "__proto__", events: { type: "constructor", data: null, metadata: { hop: counter } } },
  ]);
}

/** LSNs behind the log's end that a writer took and died with, as a takeover notes them. */
async function addVoid(directory: string, from: number, through: number): Promise<void> {
  const found = await readManifest(directory);
  if (found.kind !== "manifest") throw new Error("a store has a manifest");
  const { manifest } = found;
  const incarnations = manifest.incarnations.map((entry, index) =>
    index === manifest.incarnations.length - 1 ? { ...entry, voids: [[from, through] as const] } : entry,
  );
  const next: Manifest = { ...manifest, sequence: manifest.sequence + 1, incarnations };
  writeFileSync(join(directory, `manifest-${String(next.sequence).padStart(10, "0")}`), encodeManifest(next));
}

async function attestingHeaders(directory: string, files: Iterable<string>): Promise<AttestingHeader[]> {
  const found: AttestingHeader[] = [];
  for (const file of files) {
    if (!file.endsWith(".wal")) continue;
    for await (const item of inspectSegment(join(directory, file))) {
      if (item.kind !== "frame" || !item.isAtItsPlace) continue;
      found.push({ file, fileOffset: item.fileOffset, durableLsn: item.header.durableLsn });
    }
  }
  return found;
}

async function describe(
  name: FuzzStore["name"],
  directory: string,
  history: History,
  encryption: EncryptionOptions | null,
): Promise<FuzzStore> {
  const reader = await openReader(directory, { encryption });
  const read = await readWhole(reader);
  const graph = await readGraph(reader);
  await reader.close();
  const copy = copyOf(directory, `${directory}-recovered`);
  rmSync(join(copy, "control"), { force: true });
  const stranger = await openReader(copy, { encryption });
  const attestedLsn = stranger.watermark;
  await stranger.close();
  const writer = await openStore(copy, { ...OPTIONS, encryption });
  const recovered = await readWhole(writer);
  await writer.close();
  const files = filesOf(directory);
  const olderCopies = history.olderThan(files);
  const attesting = await attestingHeaders(directory, files.keys());
  return { name, directory, encryption, read, attestedLsn, recovered, graph, files, olderCopies, attesting };
}

/** Makes the stores below a directory, or some of them. */
export async function makeFuzzStores(
  base: string,
  only: readonly FuzzStore["name"][] = STORE_NAMES,
): Promise<readonly FuzzStore[]> {
  const stores: FuzzStore[] = [];
  if (only.includes("closed") || only.includes("crashed")) {
    const { closed, crashed, history } = await makeCopies(join(base, "plain"), null);
    if (only.includes("closed")) stores.push(await describe("closed", closed, history, null));
    if (only.includes("crashed")) stores.push(await describe("crashed", crashed, history, null));
  }
  if (only.includes("encrypted")) {
    const { closed, history } = await makeCopies(join(base, "encrypted"), BOTH_KEYS);
    stores.push(await describe("encrypted", closed, history, BOTH_KEYS));
  }
  return stores;
}

/** The second is current; the first was, until the middle of the history. */
const BOTH_KEYS: EncryptionOptions = { key: () => Buffer.alloc(32, 2), otherKeys: [() => Buffer.alloc(32, 1)] };
const FIRST_KEY: EncryptionOptions = { key: () => Buffer.alloc(32, 1), otherKeys: [() => Buffer.alloc(32, 2)] };

interface MadeCopies {
  readonly closed: string;
  readonly crashed: string;
  readonly history: History;
}

async function makeCopies(base: string, encryption: EncryptionOptions | null): Promise<MadeCopies> {
  counter = 0;
  const history = new History();
  const working = join(base, "first");
  const open = async (directory: string, keys = encryption): Promise<Store[]> => [
    await openStore(directory, { ...OPTIONS, encryption: keys }),
    await openStore(directory, { ...OPTIONS, encryption: keys }),
  ];

  let writers = await open(working, encryption === null ? null : FIRST_KEY);
  await write(writers, 3);
  const graph = await (writers[0] as Store).graph();
  const ann = await graph.createNode({ label: "Person", properties: { name: "Ann" }, validFrom: 10 });
  const acme = await graph.createNode({ label: "Company", properties: { name: "Acme" }, validFrom: 0 });
  history.take(working);
  await (writers[0] as Store).checkpoint();
  await graph.createEdge({ label: "WORKS_AT", source: ann.id, target: acme.id, validFrom: 20 });
  await write(writers, 2);
  history.take(working);
  for (const writer of writers) await writer.close();

  writers = await open(working);
  await write(writers, 1);
  await (writers[0] as Store).checkpoint();
  await write(writers, 2);
  history.take(working);
  const lastLsn = (writers[0] as Store).watermark;
  const second = copyOf(working, join(base, "second"));
  for (const writer of writers) await writer.close();
  await addVoid(second, lastLsn + 1, lastLsn + 2);

  writers = await open(second);
  await write(writers, 2);
  history.take(second);
  await write(writers, 1);
  const crashed = copyOf(second, join(base, "crashed"));
  for (const writer of writers) await writer.close();
  const closed = copyOf(second, join(base, "closed"));
  return { closed, crashed, history };
}
