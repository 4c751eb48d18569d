/** Reads a whole store and checks that nothing in it is damaged or missing: what `varve verify` does. */

import { isStoreError, StoreError } from "../errors.js";
import type { LsnRange, RecoveryReport, SealedVerification, VerifySealedOptions } from "../wal/index.js";

/** What of a reader is used. */
export interface VerifiedReader<Event> {
  readonly watermark: number;
  readonly voids: readonly LsnRange[];
  readonly recovery: RecoveryReport;
  verifySealed(options?: VerifySealedOptions): Promise<SealedVerification>;
  readBatches(after: number): AsyncIterable<readonly Event[]>;
}

export interface VerifiedEvent {
  readonly lsn: number;
  readonly stream: string;
  readonly version: number;
  readonly metadata: unknown;
  readonly forgotten: boolean;
}

export interface Verification {
  readonly ok: true;
  readonly events: number;
  readonly lastLsn: number;
  readonly voidLsns: number;
  readonly streams: number;
  /** Events whose subjects were forgotten: they have no content. */
  readonly forgottenEvents: number;
  /** Events of subjects whose keys were not given: their content was not looked at. */
  readonly unopenedEvents: number;
  readonly sealed: SealedVerification;
  readonly recovery: RecoveryReport;
}

/**
 * Opening has checked every checksum of what is not sealed and that no LSN is missing; `verifySealed` does so for what is. What is left are the
 * events themselves, over both.
 *
 * @throws StoreError `ERR_WAL_CORRUPT`, what reading throws, and what `verifySealed` throws for an anchor
 */
export async function verifyEvents<Event extends VerifiedEvent>(
  reader: VerifiedReader<Event>,
  onEvent: (event: Event) => void = () => {},
  options: VerifySealedOptions = {},
): Promise<Verification> {
  const sealed = await reader.verifySealed(options);
  let sealedCount = 0;
  const versions = new Map<string, number>();
  let lsn = sealed.horizon;
  let events = 0;
  let forgottenEvents = 0;
  let unopenedEvents = 0;
  // Readers of subjects' events look at the log anew while they read, and see what writers have written since.
  const { watermark } = reader;
  for await (const batch of reader.readBatches(sealed.horizon)) {
    for (const event of batch) {
      // Which LSNs the sealed segments lack for good they say themselves, and their counts must agree with what is read here.
      const expected = behindVoids(reader.voids, Math.max(lsn, sealed.lastLsn));
      const follows = event.lsn > sealed.lastLsn ? event.lsn === expected : event.lsn > lsn;
      if (!follows) throw broken(`LSN ${event.lsn} follows LSN ${lsn}`, event.lsn);
      lsn = event.lsn;
      if (lsn <= sealed.lastLsn) sealedCount++;
      events++;
      // Where records were removed, those of the first versions were.
      const known = versions.get(event.stream) ?? (sealed.removedLsns > 0 ? event.version - 1 : 0);
      const version = known + 1;
      if (event.version !== version)
        throw broken(`${event.stream} has version ${event.version} after ${version - 1}`, lsn);
      versions.set(event.stream, version);
      onEvent(event);
      if (event.forgotten) forgottenEvents++;
      else if (!isOpened(event)) unopenedEvents++;
    }
  }
  const sealedExpected = sealed.records - sealed.sparedRecords;
  if (sealedCount !== sealedExpected)
    throw broken(`${sealedCount} of ${sealedExpected} sealed events were read`, sealed.lastLsn);
  if (behindVoids(reader.voids, Math.max(lsn, sealed.lastLsn)) <= watermark)
    throw broken(`the log ends at LSN ${lsn}, not at ${watermark}`, lsn);
  const voidLsns = watermark - events - sealed.sparedRecords - sealed.removedLsns;
  const { recovery } = reader;
  const counts = { events, lastLsn: lsn, voidLsns, streams: versions.size, forgottenEvents, unopenedEvents };
  return { ok: true, ...counts, sealed, recovery };
}

/** Decodes the metadata, which happens when they are read. False: they are of a subject, and there is no key for it. */
function isOpened(event: VerifiedEvent): boolean {
  try {
    void event.metadata;
    return true;
  } catch (error) {
    if (isStoreError(error, "ERR_KEY_MISSING")) return false;
    throw error;
  }
}

/** The LSN that the next event has: a void belongs to a writer that died with it. */
function behindVoids(voids: readonly LsnRange[], lsn: number): number {
  let next = lsn + 1;
  for (const [from, through] of voids) if (next >= from && next <= through) next = through + 1;
  return next;
}

function broken(what: string, lsn: number): StoreError {
  return new StoreError("ERR_WAL_CORRUPT", `the log is whole but its events are not: ${what}`, { lsn });
}
