/** The records of a log that this process has open in another thread. */

import { SideReader } from "../wal/index.js";
import { ByteInterner } from "./byte-interner.js";
import { RecordCursor, type TypeNames } from "./record-cursor.js";

/** What another thread needs to know to read the log, too. */
export interface SidePlace {
  readonly directory: string;
  readonly storeId: string;
}

/** Names as they are stored: the store's own types have no versions, and of others nobody asks here. */
function storedNames(): TypeNames {
  const names = new ByteInterner<{ readonly type: string }>();
  return {
    typeAt: (bytes, start, end) => {
      const known = names.get(bytes, start, end);
      if (known !== undefined) return known;
      const reading = { type: bytes.toString("utf8", start, end) };
      if (names.size < NAMES_MAX) names.add(bytes, start, end, reading);
      return reading;
    },
  };
}

const NAMES_MAX = 65_536;

/** The records with LSNs in (`after`, `through`], which are durable, frame by frame. The files are closed when it ends, or is ended. */
export async function* sideRecords(
  { directory, storeId }: SidePlace,
  after: number,
  through: number,
): AsyncGenerator<RecordCursor, void, undefined> {
  const reader = await SideReader.open(directory, storeId);
  try {
    const records = new RecordCursor(storedNames());
    for await (const frame of reader.frames(after, through)) {
      records.open(frame, after, through);
      yield records;
    }
  } finally {
    await reader.close();
  }
}
