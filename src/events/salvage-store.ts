/** Reading what is intact of a damaged store. */

import { isStoreError, StoreError } from "../errors.js";
import {
  checkOptionNames,
  type DamageNote,
  type EncryptionOptions,
  type LsnRange,
  type SalvagedRun,
  SalvageLog,
  type SubjectKeys,
  type Survey,
  surveyStore,
} from "../wal/index.js";
import { envelopeKey } from "./envelope-key.js";
import { checkDirectory, checkedEncryption, checkSchemas } from "./open-options.js";
import { EventDecoder, StoredEvent } from "./recorded-event.js";
import { retentionCodecs } from "./retention-event.js";
import { type PayloadCodec, SchemaRegistry } from "./schema-registry.js";
import { type StreamGap, StreamGaps } from "./stream-gaps.js";
import { openContent } from "./subjects.js";

/** How a store is salvaged. */
export interface SalvageOptions {
  /** .proto files whose message types the events have. Without them the payload of such an event stands in the place of its data. */
  readonly schemas?: readonly string[];
  /** Called for every intact event, one after the other: those with LSNs first and in their order. */
  readonly onEvent?: (event: SalvagedEvent) => void | Promise<void>;
  /** Ends it, by throwing its reason. */
  readonly signal?: AbortSignal;
  /** The keys of a store that is encrypted; which is current does not matter. Where no manifest says which they are, they are tried. */
  readonly encryption?: EncryptionOptions | null;
}

/** An event of a damaged store: each of these fields holds a checksum, or is null. */
export interface SalvagedEvent {
  /** Null where the frame's header is damaged: the event's place in the log is not known. */
  readonly lsn: number | null;
  readonly stream: string;
  readonly version: number;
  readonly type: string;
  /** Absent where it cannot be decoded, for want of a schema: then there is `payload`. */
  readonly data?: unknown;
  readonly payload?: Uint8Array;
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Of an event that has a subject: the id of its key. */
  readonly subjectKeyId?: string;
  /** The subject was forgotten: the event has no content any more. */
  readonly forgotten?: true;
  /** The subject's key is not there: the content stays sealed. */
  readonly sealed?: true;
  /** Null for one that would be derived from the LSN, where that is not known. */
  readonly id: string | null;
  /** µs since 1970; null where nothing intact says it. */
  readonly recordedAt: number | null;
}

/** What was read of a damaged store, and what could not be. */
export interface SalvageReport {
  readonly directory: string;
  /** Null where no file says whose it is: then nothing was read. */
  readonly storeId: string | null;
  readonly manifest: "manifest" | "absent" | "damaged" | "newer";
  /** Intact events, those without an LSN included. */
  readonly events: number;
  readonly eventsWithoutLsn: number;
  /** Events above `attestedLsn`: whether they were acknowledged nobody knows. */
  readonly unattestedEvents: number;
  readonly streams: number;
  /** The last LSN of which anything is known. */
  readonly lastLsn: number;
  /** What the files attest as durable. */
  readonly attestedLsn: number;
  /** LSNs that were durable, and of which no intact event is there. */
  readonly lost: readonly LsnRange[];
  readonly lostLsns: number;
  /** LSNs that never had an event, and those whose event was removed at somebody's wish. */
  readonly voidLsns: number;
  readonly removedLsns: number;
  /** Versions that streams lack between two events that are there. */
  readonly gaps: readonly StreamGap[];
  /** Records that hold their checksums and are no events. */
  readonly undecodable: number;
  /** Frames that are not part of the log: behind the end of an incarnation, or in a void. */
  readonly fencedFrames: number;
  /** What of the files is damaged, with path and offset. */
  readonly damage: readonly DamageNote[];
  /** Files of another store, and files that a newer version wrote: not read. */
  readonly foreignFiles: readonly string[];
  readonly newerFiles: readonly string[];
}

const OPTION_NAMES = ["schemas", "onEvent", "signal", "encryption"] as const;

/** @throws TypeError */
function checkSalvage(directory: unknown, options: SalvageOptions): void {
  checkDirectory(directory);
  checkOptionNames(options, OPTION_NAMES, "salvageStore");
  checkSchemas(options.schemas ?? []);
  if (options.onEvent !== undefined && typeof options.onEvent !== "function")
    throw new TypeError("option onEvent must be a function");
  if (options.signal !== undefined && !(options.signal instanceof AbortSignal))
    throw new TypeError("option signal must be an AbortSignal");
  checkedEncryption(options.encryption);
}

/** With the codecs of event types that this library brings. */
export async function salvageWith(
  directory: string,
  options: SalvageOptions,
  codecs: ReadonlyMap<string, PayloadCodec>,
): Promise<SalvageReport> {
  checkSalvage(directory, options);
  const registry = SchemaRegistry.load(options.schemas ?? [], new Map([...codecs, ...retentionCodecs]), false);
  const survey = await surveyOf(directory, checkedEncryption(options.encryption));
  const log = new SalvageLog(survey);
  let subjects: SubjectKeys | null = null;
  try {
    subjects = await subjectKeysOf(directory, survey, options);
    return await new Salvage(directory, survey, log, registry, { ...options, subjects }).run();
  } finally {
    await log.close();
    await subjects?.close();
    survey.keys.close();
  }
}

/** They are gone by as the file says, for which wishes of the log are lost nobody knows. */
async function subjectKeysOf(
  directory: string,
  { storeId, keys }: Survey,
  { encryption }: SalvageOptions,
): Promise<SubjectKeys | null> {
  const path = encryption?.subjectKeys;
  return path === undefined || storeId === null
    ? null
    : keys.openSubjects(path, directory, Buffer.from(storeId, "hex"));
}

async function surveyOf(directory: string, encryption: EncryptionOptions | null): Promise<Survey> {
  let survey: Survey;
  try {
    survey = await surveyStore(directory, encryption);
  } catch (cause) {
    if (isStoreError(cause)) throw cause;
    const { code: errno = "unknown", message } = cause as NodeJS.ErrnoException;
    throw new StoreError("ERR_IO_FAILED", `cannot list ${directory}: ${message}`, { directory, errno }, { cause });
  }
  if (survey.manifestState === "absent" && survey.fileCount === 0) {
    survey.keys.close();
    throw new StoreError("ERR_STORE_NOT_FOUND", `there is no file of a store in ${directory}`, { directory });
  }
  return survey;
}

/** One pass over what is intact. */
class Salvage {
  readonly #directory: string;
  readonly #survey: Survey;
  readonly #log: SalvageLog;
  readonly #decoder: EventDecoder;
  readonly #options: SalvageOptions;
  readonly #keyOf = envelopeKey();
  readonly #gaps = new StreamGaps();
  readonly #lost: (readonly [number, number])[] = [];
  /** Events without LSNs, as "version stream": another copy of one may have its LSN. */
  readonly #homeless = new Map<string, HomelessEvent>();
  #events = 0;
  #unattested = 0;
  #voidLsns = 0;
  #removedLsns = 0;
  #undecodable = 0;

  constructor(
    directory: string,
    survey: Survey,
    log: SalvageLog,
    registry: SchemaRegistry,
    options: SalvageOptions & { readonly subjects: SubjectKeys | null },
  ) {
    this.#directory = directory;
    this.#survey = survey;
    this.#log = log;
    this.#decoder = new EventDecoder(registry, Buffer.from(survey.storeId ?? "", "hex"));
    this.#options = options;
    const { subjects } = options;
    this.#decoder.openContent = (view, bytes, start, end) => openContent(subjects, null, view, bytes, start, end);
  }

  async run(): Promise<SalvageReport> {
    const lastLsn = this.#log.lastLsn;
    await this.#gatherHomeless();
    for await (const run of this.#log.runs()) {
      this.#options.signal?.throwIfAborted();
      await this.#take(run);
    }
    for (const { body, start, end } of this.#homeless.values()) await this.#tell(body, start, end, null, null);
    const {
      storeId,
      manifestState: manifest,
      attestedLsn,
      fencedFrames,
      damage,
      foreignFiles,
      newerFiles,
    } = this.#survey;
    return {
      directory: this.#directory,
      storeId,
      manifest,
      events: this.#events,
      eventsWithoutLsn: this.#homeless.size,
      unattestedEvents: this.#unattested,
      streams: this.#gaps.streamCount,
      lastLsn,
      attestedLsn,
      lost: this.#lost,
      lostLsns: this.#lost.reduce((sum, [from, through]) => sum + through - from + 1, 0),
      voidLsns: this.#voidLsns,
      removedLsns: this.#removedLsns,
      gaps: this.#gaps.gaps,
      undecodable: this.#undecodable,
      fencedFrames,
      damage,
      foreignFiles,
      newerFiles,
    };
  }

  async #gatherHomeless(): Promise<void> {
    for await (const { body, ranges } of this.#log.headless()) {
      for (const [start, end] of ranges) {
        const key = this.#keyOfRecord(body, start, end);
        if (key !== null) this.#homeless.set(key, { body, start, end });
      }
    }
  }

  #keyOfRecord(body: Buffer, start: number, end: number): string | null {
    try {
      const { nameStart, nameEnd, version } = this.#keyOf(body, start, end);
      return `${version} ${body.toString("latin1", nameStart, nameEnd)}`;
    } catch {
      return null;
    }
  }

  async #take(run: SalvagedRun): Promise<void> {
    const { kind, firstLsn, recordCount } = run;
    switch (kind) {
      case "lost": {
        const before = this.#lost.at(-1);
        const through = firstLsn + recordCount - 1;
        if (before?.[1] === firstLsn - 1) this.#lost[this.#lost.length - 1] = [before[0], through];
        else this.#lost.push([firstLsn, through]);
        return;
      }
      case "void":
        this.#voidLsns += recordCount;
        return;
      case "removed":
        this.#removed(recordCount);
        return;
      case "data":
        for (const [index, range] of run.ranges.entries()) {
          if (range === null) this.#removed(1);
          else await this.#tell(run.body, range[0], range[1], firstLsn + index, run.recordedAt);
        }
        return;
      case "hole":
    }
  }

  #removed(count: number): void {
    this.#removedLsns += count;
    this.#gaps.mayBeginLate = true;
  }

  async #tell(body: Buffer, start: number, end: number, lsn: number | null, recordedAt: number | null): Promise<void> {
    let event: StoredEvent;
    try {
      event = new StoredEvent(this.#decoder, { body, header: { recordedAt: recordedAt ?? 0 } }, start, end, lsn ?? 0);
    } catch {
      this.#undecodable++;
      return;
    }
    this.#events++;
    const { stream, version, type, givenId } = event;
    if (lsn !== null) {
      this.#gaps.note(stream, version);
      if (lsn > this.#survey.attestedLsn) this.#unattested++;
      if (this.#homeless.size > 0) this.#homeless.delete(this.#keyOfRecord(body, start, end) ?? "");
    }
    const { onEvent } = this.#options;
    if (onEvent === undefined) return;
    const id = lsn === null ? givenId : event.id;
    await onEvent({ lsn, stream, version, type, ...contentOf(event), id, recordedAt });
  }
}

interface HomelessEvent {
  readonly body: Buffer;
  readonly start: number;
  readonly end: number;
}

type SalvagedContent = Pick<SalvagedEvent, "data" | "payload" | "metadata" | "subjectKeyId" | "forgotten" | "sealed">;

function contentOf(event: StoredEvent): SalvagedContent {
  const { subjectContent } = event;
  const about = subjectContent === null ? {} : { subjectKeyId: subjectContent.keyId };
  if (subjectContent?.status === "refused") return { metadata: {}, ...about, sealed: true };
  if (subjectContent?.status === "forgotten") return { metadata: {}, ...about, forgotten: true };
  const metadata = metadataOf(event);
  try {
    return { data: event.data, metadata, ...about };
  } catch {
    return { payload: event.payload, metadata, ...about };
  }
}

/** Somebody can have written what is no JSON; the event is intact all the same. */
function metadataOf(event: StoredEvent): Readonly<Record<string, unknown>> {
  try {
    return event.metadata;
  } catch {
    return {};
  }
}
