/** What the killed process writes into its events, so that whoever reads them can tell. */

export interface KillData {
  /** The append that the event belongs to. */
  readonly key: string;
  /** Its place in the append, from 0. */
  readonly index: number;
  /** How many events the append has. */
  readonly of: number;
  readonly fill: string;
}

/** Text of that length, different for every event. */
export function fillOf(key: string, index: number, length: number): string {
  const piece = `${key}/${index} `;
  return piece.repeat(Math.ceil(length / piece.length)).slice(0, length);
}
