/** The events of the benchmarks of sealed segments. */

export const SEALED_TYPE = "BenchEvent";

/** Event `number`, from 0, goes to the streams in turn: a stream's events lie far from each other, the worst for who reads it. */
export function streamOfEvent(number: number, streams: number): string {
  return `stream-${number % streams}`;
}

const WORDS = "order account customer paid shipped cancelled total amount currency address street city note item".split(
  " ",
);
const TEXT_CHARACTERS = 1024 * 1024;
let text = "";

/** Words and numbers that repeat as those of real events do: much shorter or longer stretches would make compression look too good or bad. */
function sampleText(): string {
  const parts: string[] = [];
  let length = 0;
  for (let seed = 1; length < TEXT_CHARACTERS; ) {
    seed = Math.imul(seed, 1_664_525) + 1_013_904_223;
    const part = `${WORDS[(seed >>> 8) % WORDS.length]}: ${(seed >>> 12).toString(36)}, `;
    parts.push(part);
    length += part.length;
  }
  return parts.join("");
}

/** As JSON it has about that many bytes. */
export function dataOf(number: number, payloadBytes: number): string {
  if (text === "") text = sampleText();
  const start = (number * 7919) % (TEXT_CHARACTERS / 2);
  const digits = String(number);
  return `${digits}${text.slice(start, start + Math.max(0, payloadBytes - digits.length))}`.padEnd(payloadBytes, "~");
}

/** How many events the stream with that number has. */
export function eventCountOf(stream: number, events: number, streams: number): number {
  return Math.floor(events / streams) + (stream < events % streams ? 1 : 0);
}
