/** What the log asks of those who know its records: which stream one belongs to, and its version there. */

/** The stream's name lies in `body[nameStart, nameEnd)`. */
export interface RecordKey {
  readonly nameStart: number;
  readonly nameEnd: number;
  readonly version: number;
}

/** Of the record in `body[start, end)`. The answer is valid until the next call. */
export type KeyOf = (body: Buffer, start: number, end: number) => RecordKey;
