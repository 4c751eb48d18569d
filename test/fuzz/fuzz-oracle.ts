/**
 * Judges what a damaged store answers: the same data, a precise refusal, or a cut of what nobody attests. Anything else is a failure.
 *
 * What may be cut it computes by itself, from the headers of the undamaged store that the damage has left alone.
 */

import { isStoreError, openReader, openStore, type RecoveryReport, type StoreReader } from "../../src/index.js";
import { readManifest } from "../../src/wal/manifest.js";
import { copyOf, type FuzzStore, filesOf, OPTIONS } from "./fuzz-store.js";
import { damagedContent, type Mutation } from "./mutation.js";
import { type ReadEvent, readGraph, readStream, readWhole, STREAMS, type StoreReading } from "./store-reading.js";

/** `refused` says where; `refused, no file` concerns the store as a whole. */
export const OUTCOMES = ["identical", "refused", "refused, no file", "cut, reported"] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Something that must never be. */
export class FuzzFailure extends Error {
  override readonly name = "FuzzFailure";
}

const HEADER_BYTES = 192;

function fail(what: string, cause?: unknown): never {
  throw new FuzzFailure(what, { cause });
}

/** @throws FuzzFailure for what is no precise refusal */
function refusalOf(error: unknown, { encryption }: FuzzStore): Outcome {
  if (!isStoreError(error)) {
    fail(`an error without a code: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`, error);
  }
  if (error.code === "ERR_STORE_NOT_FOUND" || error.code === "ERR_STORE_EXISTS") return "refused, no file";
  const codes = ["ERR_WAL_CORRUPT", "ERR_WAL_VERSION", "ERR_WAL_FOREIGN", "ERR_PROJECTION_FAILED"];
  // By an older manifest, which does not name the key that is current. Damage alone never looks like tampering.
  if (encryption !== null) codes.push("ERR_KEY_MISSING");
  if (!codes.includes(error.code)) fail(`an unexpected refusal: ${error.code}: ${error.message}`, error);
  return typeof error.details["path"] === "string" ? "refused" : "refused, no file";
}

function worse(a: Outcome, b: Outcome): Outcome {
  return OUTCOMES.indexOf(a) > OUTCOMES.indexOf(b) ? a : b;
}

function compare(found: readonly ReadEvent[], expected: readonly ReadEvent[], what: string): void {
  for (const [index, event] of found.entries()) {
    const other = expected[index];
    if (event.text !== other?.text) fail(`${what}: ${event.text} where ${other?.text ?? "nothing"} was written`);
  }
}

/** The highest LSN that what is left of the store attests. */
async function attestedLeft(mutation: Mutation, store: FuzzStore, directory: string): Promise<number> {
  let attested = 0;
  const found = await readManifest(directory);
  if (found.kind === "manifest") {
    const newest = found.manifest.incarnations.at(-1);
    attested = Math.max(found.manifest.checkpointLsn, newest?.lastLsn ?? 0, (newest?.firstLsn ?? 1) - 1);
  }
  for (const { file, fileOffset, durableLsn } of store.attesting) {
    const before = (store.files.get(file) as Buffer).subarray(fileOffset, fileOffset + HEADER_BYTES);
    const after = damagedContent(mutation, file, store)?.subarray(fileOffset, fileOffset + HEADER_BYTES);
    if (after?.equals(before) === true) attested = Math.max(attested, durableLsn);
  }
  return attested;
}

/** Of a store that was opened: whether it ends where it must. */
async function judgeEnd(
  lastLsn: number,
  expectedLsn: number,
  recovery: RecoveryReport,
  damage: { readonly mutation: Mutation; readonly store: FuzzStore; readonly directory: string },
): Promise<Outcome> {
  if (lastLsn >= expectedLsn) return "identical";
  const attested = await attestedLeft(damage.mutation, damage.store, damage.directory);
  if (lastLsn < attested) fail(`LSN ${lastLsn + 1} to ${attested} are attested, and were dropped without a word`);
  if (damage.store.name !== "crashed") fail(`LSN ${lastLsn + 1} to ${expectedLsn} of a closed store were dropped`);
  const isTold = recovery.tornAt !== null || recovery.orphanFrames > 0;
  if (!isTold) fail(`LSN ${lastLsn + 1} to ${expectedLsn} were dropped without a word`);
  return "cut, reported";
}

/** Of the bits, which are many, each meets one stream. */
function streamsFor({ kind, changes: [change] }: Mutation): readonly string[] {
  if (kind !== "bit" || change?.kind !== "bytes") return STREAMS;
  return [STREAMS[(change.offset + (change.bytes[0] as number)) % STREAMS.length] as string];
}

/** Reads the damaged copy as readers do. @throws FuzzFailure */
export async function judgeReading(mutation: Mutation, store: FuzzStore, directory: string): Promise<Outcome> {
  let reader: StoreReader;
  try {
    reader = await openReader(directory, { encryption: store.encryption });
  } catch (error) {
    return refusalOf(error, store);
  }
  try {
    // A reader may believe the control file of writers that it takes to be alive, and see more than the log attests.
    const all = store.recovered.events;
    const { watermark } = reader;
    const believesControl = mutation.changes.every(({ file }) => file !== "control");
    const expectedLsn = believesControl ? store.read.lastLsn : store.attestedLsn;
    let outcome = await judgeEnd(watermark, expectedLsn, reader.recovery, { mutation, store, directory });
    const attempt = async (work: () => Promise<void>): Promise<void> => {
      try {
        await work();
      } catch (error) {
        if (error instanceof FuzzFailure) throw error;
        outcome = worse(outcome, refusalOf(error, store));
      }
    };
    const visible = all.filter(({ lsn }) => lsn <= watermark);
    await attempt(async () => {
      const found: ReadEvent[] = [];
      try {
        for await (const event of reader.readAll()) found.push({ ...event, text: JSON.stringify(event) });
      } finally {
        compare(found, visible, "readAll");
      }
      if (found.length !== visible.length) fail(`readAll gave ${found.length} of ${visible.length} events`);
    });
    for (const [index, stream] of streamsFor(mutation).entries()) {
      await attempt(async () => {
        const expected = visible.filter((event) => event.stream === stream);
        const found = await readStream(reader, stream, index % 2 === 0);
        compare(found, expected, `readStream of ${stream}`);
        if (found.length !== expected.length) fail(`${stream} has ${found.length} of ${expected.length} events`);
        const version = await reader.streamVersion(stream);
        if (version !== (expected.at(-1)?.version ?? 0)) fail(`${stream} is said to be at version ${version}`);
      });
    }
    const isSealedDamage = mutation.changes.some(({ file }) => file.startsWith("log/") || file.startsWith("manifest"));
    if (isSealedDamage) await attempt(async () => void (await reader.verifySealed()));
    const isGraphDamage = mutation.changes.some(({ file }) => file.startsWith("projections/"));
    if (isGraphDamage) {
      await attempt(async () => {
        const graph = await readGraph(reader);
        if (graph !== store.graph) fail(`the graph is ${graph} instead of ${store.graph}`);
      });
    }
    if (!believesControl) await reader.refresh();
    return outcome;
  } finally {
    await reader.close();
  }
}

/** Opens a copy of the damaged copy for writing, writes to it and reads it again. @throws FuzzFailure */
export async function judgeWriting(
  mutation: Mutation,
  store: FuzzStore,
  damaged: string,
  scratch: string,
): Promise<Outcome> {
  const directory = copyOf(damaged, scratch);
  const before = dataOf(directory);
  let lastLsn = 0;
  let outcome: Outcome;
  let reading: StoreReading;
  try {
    const writer = await openStore(directory, { ...OPTIONS, encryption: store.encryption });
    try {
      lastLsn = writer.recovery.lastLsn;
      outcome = await judgeEnd(lastLsn, store.recovered.lastLsn, writer.recovery, {
        mutation,
        store,
        directory: damaged,
      });
      reading = await readWhole(writer);
      const expected = store.recovered.events.filter(({ lsn }) => lsn <= lastLsn);
      compare(reading.events, expected, "readAll of a writer");
      if (reading.events.length !== expected.length)
        fail(`readAll of a writer gave ${reading.events.length} of ${expected.length} events`);
      const done = await writer.append("account-0", { type: "Deposited", data: { cents: 1 } });
      const version = expected.findLast(({ stream }) => stream === "account-0")?.version ?? 0;
      if (done.version !== version + 1) fail(`appended at version ${done.version} behind ${version}`);
      if (!("lsn" in done) || done.lsn !== lastLsn + 1) fail(`appended at another LSN than ${lastLsn + 1}`);
    } finally {
      await writer.close();
    }
  } catch (error) {
    if (error instanceof FuzzFailure) throw error;
    const refused = refusalOf(error, store);
    if (lastLsn === 0) expectUntouched(before, directory);
    return refused;
  }
  const reader = await openReader(directory, { encryption: store.encryption });
  try {
    const after = await readWhole(reader);
    compare(reading.events, after.events, "reading again");
    if (after.events.length !== reading.events.length + 1) fail(`the next reader sees ${after.events.length} events`);
  } finally {
    await reader.close();
  }
  return outcome;
}

/** Locks, owners and shared memory are no data. */
function dataOf(directory: string): Map<string, Buffer> {
  const data = [...filesOf(directory)].filter(([file]) => /\.wal$|\.seal$|manifest|checkpoint$/.test(file));
  return new Map(data);
}

function expectUntouched(before: ReadonlyMap<string, Buffer>, directory: string): void {
  const after = dataOf(directory);
  for (const [file, bytes] of before) if (after.get(file)?.equals(bytes) !== true) fail(`refused, and changed ${file}`);
  for (const file of after.keys()) if (!before.has(file)) fail(`refused, and made ${file}`);
}
