/**
 * Events that are about somebody: their content is encrypted under the subject's own key before they are placed, and opened when they are read.
 *
 * The keys are in a file apart from the log (`wal/subjects/`). Destroying one is an event of `$retention` too, so that whoever has an older copy of
 * the file destroys it again. The file goes first: from then on nobody reads, whether or not anybody comes to log it; who opens the store next
 * for writing logs what is missing.
 */

import { isStoreError, StoreError } from "../errors.js";
import type { SubjectKeys } from "../wal/index.js";
import {
  CONTENT_SEALED,
  type EnvelopeView,
  encodeContent,
  measure,
  type PreparedEvent,
  placeFields,
  streamField,
} from "./envelope.js";
import { checkedSubject } from "./prepare-event.js";
import type { RetentionChange } from "./retention.js";
import { type RetentionEventName, type RetentionEvents, retentionType } from "./retention-event.js";
import type { RetentionFollower } from "./retention-follower.js";

/** Of one event: a restored log can have to say much at once. */
const KEYS_PER_EVENT_MAX = 1000;

/** What a writer needs to change what is known of subjects. */
export interface SubjectsPlace {
  readonly keys: SubjectKeys;
  readonly follower: RetentionFollower;
  /** W. */
  watermark(): number;
  /** Appends to `$retention`; durable when it resolves. */
  append(event: { type: string; data: unknown }): Promise<RetentionChange>;
}

/** That a subject was forgotten, and since when. Nothing in it tells who that is. */
export interface Forgetting {
  /** Of every key that the subject has had, as hexadecimal digits. None: no event was designated to it. */
  readonly keyIds: readonly string[];
  /** Where it stands in the log: the last of the events that say it. */
  readonly lsn: number;
  /** µs since 1970. */
  readonly forgottenAt: number;
}

/** What a request has of events. */
interface Sealable {
  readonly stream: string;
  readonly events: readonly PreparedEvent[];
}

export class Subjects {
  readonly #place: SubjectsPlace;

  constructor(place: SubjectsPlace) {
    this.#place = place;
  }

  /**
   * For a writer that has just opened the store: what the log and the file say of destroyed keys becomes the same. One of the two is older where
   * it was put back from a copy, or where somebody died between destroying a key and logging it.
   *
   * @throws StoreError what opening throws: `ERR_STORE_BUSY` when another writer did not go on for `busyWaitMs`; `ERR_IO_FAILED`, `ERR_WAL_FAILED`, `ERR_WAL_FULL`
   */
  async begin(): Promise<void> {
    const { keys, follower } = this.#place;
    const { toDestroy, toLog } = keys.compare(follower.state.forgottenKeys.keys());
    if (toDestroy.length > 0) await keys.destroyKeys(toDestroy);
    // Once more, for it may not have become durable.
    const destroyed = toLog.length > 0 ? await keys.destroyKeys(toLog) : [];
    try {
      await this.#logDestroyed(destroyed);
    } catch (error) {
      throw openingRefused(error);
    }
  }

  #log<Name extends RetentionEventName>(name: Name, data: RetentionEvents[Name]): Promise<RetentionChange> {
    return this.#place.append({ type: retentionType(name), data });
  }

  /** Encrypts what has a subject. Null: it is done. A promise: the key of a subject is made first, and the file is waited for. */
  seal(requests: readonly Sealable[]): Promise<void> | null {
    for (const { stream, events } of requests) {
      for (const event of events) {
        if (event.subject !== null && !this.#sealNow(stream, event)) return this.#sealSlowly(requests);
      }
    }
    return null;
  }

  #sealNow(stream: string, event: PreparedEvent): boolean {
    const keyId = this.#place.keys.liveKeyOf(event.subject as string);
    return keyId !== null && this.#sealBy(keyId, stream, event);
  }

  #sealBy(keyId: Buffer, stream: string, event: PreparedEvent): boolean {
    const content = encodeContent(event);
    const aad = Buffer.concat([keyId, streamField(stream), event.typeField]);
    const bytes = this.#place.keys.seal(keyId, aad, content);
    content.fill(0);
    if (bytes === null) return false; // destroyed at this moment
    event.subject = null;
    event.payload = "";
    event.payloadBytes = 0;
    event.metadata = null;
    event.content = CONTENT_SEALED;
    event.sealed = { keyId, bytes };
    measure(event);
    return true;
  }

  async #sealSlowly(requests: readonly Sealable[]): Promise<void> {
    const { keys } = this.#place;
    await this.#announce();
    for (const { stream, events } of requests) {
      for (const event of events) {
        while (event.subject !== null && !this.#sealNow(stream, event)) await keys.ensureKey(event.subject);
      }
    }
  }

  /** That there are subject keys is in the log before any event needs one. */
  async #announce(): Promise<void> {
    const { follower, watermark } = this.#place;
    if (follower.state.hasSubjectKeys) return;
    await follower.catchUp(watermark());
    if (follower.state.hasSubjectKeys) return;
    const { lsn } = await this.#log("SubjectKeysCreated", {});
    await follower.catchUp(lsn);
  }

  /** Destroys every key of a subject, and logs it. */
  async forget(subject: string): Promise<Forgetting> {
    const { keys, follower, watermark } = this.#place;
    const keyIds = await keys.destroySubject(checkedSubject(subject));
    await this.#logDestroyed(keyIds);
    const last = keyIds
      .map((id) => follower.state.forgottenKeys.get(id))
      .sort((a, b) => (a?.lsn ?? 0) - (b?.lsn ?? 0))
      .at(-1);
    return { keyIds, lsn: last?.lsn ?? watermark(), forgottenAt: last?.recordedAt ?? Date.now() * 1000 };
  }

  /** Destroys keys by their ids, and logs all of them. */
  async forgetKeys(keyIds: Iterable<string>): Promise<void> {
    const ids = [...keyIds];
    await this.#place.keys.destroyKeys(ids);
    await this.#logDestroyed(ids);
  }

  async #logDestroyed(keyIds: readonly string[]): Promise<void> {
    const { follower, watermark } = this.#place;
    await follower.catchUp(watermark());
    const unlogged = keyIds.filter((id) => !follower.state.forgottenKeys.has(id));
    for (let from = 0; from < unlogged.length; from += KEYS_PER_EVENT_MAX) {
      const { lsn } = await this.#log("SubjectForgotten", { keyIds: unlogged.slice(from, from + KEYS_PER_EVENT_MAX) });
      await follower.catchUp(lsn);
    }
  }

  /** Seals the file by the current master key alone. The last that is done with it. */
  reseal(): Promise<void> {
    return this.#place.keys.reseal();
  }
}

/** Refuses requests with subjects in a store that has no keys for them. @throws StoreError `ERR_KEY_MISSING` */
export function refuseSubjects(requests: readonly Sealable[]): void {
  if (!requests.some(({ events }) => events.some(({ subject }) => subject !== null))) return;
  throw new StoreError(
    "ERR_KEY_MISSING",
    "an event with a subject needs the option encryption.subjectKeys; nothing was written",
  );
}

export function subjectsNeeded(directory: string): StoreError {
  const message = `the store in ${directory} needs the option encryption.subjectKeys for this`;
  return new StoreError("ERR_KEY_MISSING", message, { directory });
}

/** Who opens a store has appended nothing, so what is said of appends says nothing to him. The next one who opens it logs what is missing. */
function openingRefused(error: unknown): unknown {
  if (isStoreError(error, "ERR_WAL_BUSY")) {
    return new StoreError("ERR_STORE_BUSY", error.message, error.details, { cause: error });
  }
  return isStoreError(error, "ERR_WAL_OUTCOME_UNKNOWN") ? error.cause : error;
}

/** How reading an event of a subject ended. */
export type SubjectContent =
  /** A whole envelope: in the first `sealedBytes` what the log has, and behind it the content in plain. */
  | { readonly status: "open"; readonly keyId: string; readonly record: Buffer; readonly sealedBytes: number }
  | { readonly status: "forgotten"; readonly keyId: string }
  /** Its key is not there, or its content was changed. */
  | { readonly status: "refused"; readonly keyId: string; readonly error: StoreError };

/** Opens the record in `bytes[start, end)`, which the view has just decoded. */
export function openContent(
  keys: SubjectKeys | null,
  follower: RetentionFollower | null,
  view: EnvelopeView,
  bytes: Buffer,
  start: number,
  end: number,
): SubjectContent {
  const id = bytes.subarray(view.subjectKeyStart, view.subjectKeyEnd);
  const keyId = id.toString("hex");
  if (follower?.state.forgottenKeys.has(keyId) === true) return { status: "forgotten", keyId };
  if (keys === null) return { status: "refused", keyId, error: noSubjectKeys(keyId) };
  const aad = Buffer.concat([id, placeFields(bytes, view)]);
  const opened = keys.open(id, aad, bytes.subarray(view.sealedStart, view.sealedEnd));
  switch (opened.kind) {
    case "plain": {
      // Messages of protobuf that follow each other are one: what is in the second counts.
      const record = Buffer.concat([bytes.subarray(start, end), opened.bytes]);
      return { status: "open", keyId, record, sealedBytes: end - start };
    }
    case "destroyed":
      return { status: "forgotten", keyId };
    case "refused":
      return { status: "refused", keyId, error: opened.error };
  }
}

function noSubjectKeys(subjectKeyId: string): StoreError {
  const message = "the content of an event of a subject needs the option encryption.subjectKeys";
  return new StoreError("ERR_KEY_MISSING", message, { subjectKeyId });
}
