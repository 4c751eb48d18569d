/**
 * Enters the log's frames into the stream index, as they are read at opening and later.
 *
 * A stream whose events begin in the sealed tier begins here with any version: what is below it is known there.
 */

import { StoreError } from "../errors.js";
import { type Frame, RECORD_HEADER_BYTES } from "../wal/index.js";
import { EnvelopeView } from "./envelope.js";
import type { StreamIndex } from "./stream-index.js";

export class StreamReplay {
  readonly #index: StreamIndex;
  readonly #view = new EnvelopeView();

  constructor(index: StreamIndex) {
    this.#index = index;
  }

  /**
   * Enters the next frame in LSN order; one that was entered already is passed over.
   *
   * @throws StoreError `ERR_WAL_CORRUPT` when a stream's versions do not follow each other
   */
  addFrame(frame: Frame): void {
    const { body, header } = frame;
    const lastLsn = header.firstLsn + header.recordCount - 1;
    const { indexedThrough, sealedThrough } = this.#index;
    if (lastLsn <= indexedThrough) return;
    const view = this.#view;
    let at = 0;
    for (let index = 0; index < header.recordCount; index++) {
      const start = at + RECORD_HEADER_BYTES;
      at = start + body.readUInt32LE(at);
      view.decode(body, start, at);
      const { version } = view;
      const lsn = header.firstLsn + index;
      if (lsn <= indexedThrough) continue;
      const head = this.#index.ofBytes(body, view.streamStart, view.streamEnd);
      if (sealedThrough === 0) head.setBase(0);
      if (head.isBaseKnown && version !== head.indexedVersion + 1) {
        const message = `stream ${head.name} goes from version ${head.indexedVersion} to ${version} at LSN ${lsn}`;
        throw new StoreError("ERR_WAL_CORRUPT", message, { stream: head.name, lsn });
      }
      head.enter(version, lsn);
      if (version <= head.idsKnownThrough) continue; // this writer's own, noted when it was written
      head.noteId(version, view.idEnd > view.idStart ? body.toString("utf8", view.idStart, view.idEnd) : null);
    }
    this.#index.noteIndexed(lastLsn);
  }
}
