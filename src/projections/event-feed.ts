/** What the runner needs of a store, and of an event. A store and a read-only reader both satisfy it. */

import type { RecordedEvent, RecordFeed, StateCiphers } from "../events/index.js";

/** The least an event must have to be fed to a projection. */
export interface FeedEvent {
  /** The event's place in the whole store, from 1. */
  readonly lsn: number;
  readonly type: string;
  /** Its place in its stream, from 1. */
  readonly version?: number;
  /** Transaction time in µs since 1970. */
  readonly recordedAt: number;
  /** Absent or null: it has no subject. */
  readonly subjectContent?: SubjectUse | null;
  /** Of the store's own events. */
  readonly data?: unknown;
}

/** Whether the content of an event of a subject can be had. */
export type SubjectUse =
  | { readonly status: "open" | "forgotten"; readonly keyId: string }
  | { readonly status: "refused"; readonly keyId: string; readonly error: Error };

/** A log in LSN order that says when it has grown. */
export interface EventFeed<Event extends FeedEvent = RecordedEvent> {
  /** The highest visible LSN, 0 when the store is empty. */
  readonly watermark: number;
  /** The store's directory; a projection's files lie in `projections/<name>/` below it. */
  readonly directory: string;
  /** A read-only opener writes no files, so its projections keep no checkpoints. */
  readonly readOnly: boolean;
  /** Tells stores apart; a checkpoint made from another store is not believed. */
  readonly storeId?: string;
  /** Whether a subject's key is destroyed, as far as that is known by now. */
  isForgotten?(keyId: string): boolean;
  /** Of a store that is encrypted: by which checkpoints are. */
  readonly stateCiphers?: StateCiphers | null;
  /** The events above an LSN, in LSN order; ends when it has caught up with the watermark. */
  readBatches(after: number, options?: { readonly signal?: AbortSignal }): AsyncIterable<readonly Event[]>;
  /** @internal For a projection that is fed by rows; null or absent: there are only events. */
  readonly records?: RecordFeed<Event> | null;
  /** The events of one stream that are shown, by version. */
  readStream?(
    stream: string,
    options: { readonly from?: number; readonly limit?: number; readonly signal: AbortSignal },
  ): AsyncIterable<Event>;
  /** Calls the listener after the watermark moved; the returned function ends that. */
  onAdvance(listener: (watermark: number) => void): () => void;
  /** Why nothing will come any more, as behind damage of a log that others write; the listeners of `onAdvance` are called for it too. */
  readonly failure?: Error | null;
}
