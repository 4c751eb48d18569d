/** The events of the benchmarks of sealed segments. */

export const SEALED_TYPE = "BenchEvent";

/** Event `number`, from 0, goes to the streams in turn: a stream's events lie far from each other, the worst for who reads it. */
export function streamOfEvent(number: number, streams: number): string {
  return `stream-${number % streams}`;
}

/** As JSON it has about that many bytes. */
export function dataOf(number: number, payloadBytes: number): string {
  return String(number).padEnd(payloadBytes, "~");
}

/** How many events the stream with that number has. */
export function eventCountOf(stream: number, events: number, streams: number): number {
  return Math.floor(events / streams) + (stream < events % streams ? 1 : 0);
}
