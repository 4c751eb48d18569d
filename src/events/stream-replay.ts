/** Rebuilds the stream index from the log's frames as they are read at opening. */

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

  /** @throws StoreError `ERR_WAL_CORRUPT` when a stream's versions are not 1, 2, 3, … */
  addFrame(frame: Frame): void {
    const { body, header } = frame;
    const view = this.#view;
    let at = 0;
    for (let index = 0; index < header.recordCount; index++) {
      const start = at + RECORD_HEADER_BYTES;
      at = start + body.readUInt32LE(at);
      view.decode(body, start, at);
      const head = this.#index.ofBytes(body, view.streamStart, view.streamEnd);
      if (view.version !== head.version + 1) {
        const lsn = header.firstLsn + index;
        const message = `stream ${head.name} goes from version ${head.version} to ${view.version} at LSN ${lsn}`;
        throw new StoreError("ERR_WAL_CORRUPT", message, { stream: head.name, lsn });
      }
      head.version = view.version;
      head.lsns.push(header.firstLsn + index);
      if (view.idEnd > view.idStart) head.rememberId(body.toString("utf8", view.idStart, view.idEnd), view.version);
    }
  }
}
