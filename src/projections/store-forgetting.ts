/** How a store forgets: streams, the beginning of the log, and subjects. */

import type {
  DeleteStreamOptions,
  ForgetAttestation,
  ForgetOptions,
  RetainStreamOptions,
  RetentionChange,
  ScavengeReport,
  StreamRetention,
  TombstoneStreamOptions,
  TruncateBeforeOptions,
  TruncateStreamOptions,
  TruncationReport,
} from "../events/index.js";

/** The part of `Store` that is about what is to be gone. */
export interface StoreForgetting {
  /**
   * Forgets a stream's events below a version: from now on nobody who reads the stream sees them. From the disk they go with the next
   * `scavenge`; until then `readAll` and `subscribe` to all still deliver them. It cannot be taken back, and the stream keeps its versions.
   *
   * @throws RangeError when the stream has no such version
   * @throws StoreError `ERR_EVENTS_INVALID_STREAM`, `ERR_STREAM_TOMBSTONED`, or what `append` throws for a log that takes no event
   */
  truncateStream(stream: string, options: TruncateStreamOptions): Promise<RetentionChange>;

  /**
   * Forgets a stream's events, all that there are when it is called, as `truncateStream` does. The stream can be written to again, as
   * `"absent"` or at its version, and goes on with the next version: none is ever used twice. An event that another writer appends at the same
   * moment is kept, unless `expectedVersion` is a version: then the deletion is refused.
   *
   * @throws StoreError `ERR_EVENTS_VERSION_CONFLICT` when the stream is not as expected, or has no events; and as `truncateStream`
   */
  deleteStream(stream: string, options?: DeleteStreamOptions): Promise<RetentionChange>;

  /**
   * Ends a stream for good: from now on reading it and appending to it, by whatever writer, is refused with `ERR_STREAM_TOMBSTONED`. Its name
   * cannot be used again. The events go from the disk with the next `scavenge`.
   *
   * @throws StoreError `ERR_EVENTS_VERSION_CONFLICT`, and as `truncateStream`
   */
  tombstoneStream(stream: string, options?: TombstoneStreamOptions): Promise<RetentionChange>;

  /**
   * Says how much of a stream is kept, instead of what was said before; without bounds everything is. What is beyond them nobody sees who reads
   * the stream; from the disk it goes with the next `scavenge`.
   *
   * @throws TypeError, RangeError for a wrong bound; StoreError as `truncateStream`
   *
   * @example
   * ```ts
   * await store.retainStream("sensor-7", { maxAgeMs: 30 * 24 * 3_600_000, maxCount: 100_000 });
   * ```
   */
  retainStream(stream: string, options: RetainStreamOptions): Promise<RetentionChange>;

  /**
   * Forgets all events so far of all streams whose names begin so, as `deleteStream` does; they can be written to again. `"absent"` is not said
   * of them, though: they go on at their versions.
   *
   * @throws StoreError as `truncateStream`; an empty prefix, or one that begins with `$`, is no name
   */
  deleteStreams(prefix: string): Promise<RetentionChange>;

  /**
   * Ends all streams for good whose names begin so, those to come included. An append that another writer makes at the same moment can still be
   * placed behind it in the log; nobody sees it by its stream.
   *
   * @throws StoreError as `deleteStreams`
   */
  tombstoneStreams(prefix: string): Promise<RetentionChange>;

  /** What was said of a stream so far: what of it is gone, and what is kept. */
  streamRetention(stream: string): Promise<StreamRetention>;

  /**
   * Takes from the disk what streams were to forget: seals the log, and writes those sealed segments anew that lose events. Other events, their
   * LSNs and the hash chain stay what they are; a projection that is rebuilt afterwards sees only what is left. One at a time over all writers:
   * it waits for others up to `busyWaitMs`.
   *
   * @throws StoreError `ERR_STORE_BUSY`, `ERR_IO_FAILED`, `ERR_WAL_CORRUPT`, `ERR_WAL_FAILED`, `ERR_STORE_CLOSED`: nothing was removed
   */
  scavenge(): Promise<ScavengeReport>;

  /**
   * Drops the sealed segments that lie wholly below an LSN, of all streams, when every one of them was archived. Before that it saves the running
   * projections and seals the log. From then on reading in the order of the log from before `horizon` is refused with `ERR_LOG_TRUNCATED`: by
   * readers, subscribers, and projections that would have to be rebuilt. Streams keep their versions, and begin with what is left. Closing the
   * store waits for the archive.
   *
   * @throws RangeError for an LSN above the watermark + 1; what `archive` throws
   * @throws StoreError as `scavenge`, and `ERR_PROJECTION_CHECKPOINT`: nothing was dropped
   *
   * @example
   * ```ts
   * await store.truncateBefore(1_000_000, { archive: ({ path }) => copyFile(path, join("/archive", basename(path))) });
   * ```
   */
  truncateBefore(lsn: number, options: TruncateBeforeOptions): Promise<TruncationReport>;

  /**
   * Forgets a subject: destroys every key that its events were encrypted by, in the file of subject keys and in the memory of this process, then says
   * so in the log, then has projections drop what they derived, here and wherever they run: each that has handled such an event removes its
   * checkpoints and is rebuilt from the log without them. From then on these events read as `forgotten`, by whomever; their streams keep
   * their versions, and the log its LSNs. An append that is under way is forgotten with it; a later one gets a new key, and is a new beginning.
   *
   * Asked again it answers the same. Killed in between, the key is destroyed or is not; who opens the store next for writing logs what is missing.
   *
   * @throws TypeError for a wrong argument or option
   * @throws StoreError `ERR_EVENTS_INVALID_EVENT` for a subject that none can be; `ERR_KEY_MISSING` without `encryption.subjectKeys`; `ERR_IO_FAILED`
   *   when the file could not be written durably: open the store anew, and ask again; `ERR_STORE_BUSY`, and what `append` throws: ask again
   *
   * @example
   * ```ts
   * const { keyIds, lsn } = await store.forget("person-7");
   * ```
   */
  forget(subject: string, options?: ForgetOptions): Promise<ForgetAttestation>;
}
