/** The raw view of a recorded event: what the graph reads instead of decoded objects. */
export interface RawEvent {
  readonly lsn: number;
  /** Transaction time in µs since 1970. */
  readonly recordedAt: number;
  /** Interned by the reader, so that equal types are the same string. */
  readonly type: string;
  readonly stream: string;
  /** The event's place in its stream, from 1. */
  readonly version: number;
  /** The payload is `bytes[payloadStart, payloadEnd)`. */
  readonly bytes: Uint8Array;
  readonly payloadStart: number;
  readonly payloadEnd: number;
}
