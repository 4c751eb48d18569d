/** Which versions streams lack, told from the events that are left: in the order of the log a stream's versions follow each other. */

/** Versions of a stream that no event that could be read has, between two that could. */
export interface StreamGap {
  readonly stream: string;
  readonly fromVersion: number;
  readonly throughVersion: number;
}

export class StreamGaps {
  /** By stream, the version of its newest event so far. */
  readonly #versions = new Map<string, number>();
  readonly #gaps: StreamGap[] = [];
  /** Whether a stream can begin with another version than 1: where events were removed they were the first ones. */
  mayBeginLate = false;

  get streamCount(): number {
    return this.#versions.size;
  }

  get gaps(): readonly StreamGap[] {
    return this.#gaps;
  }

  /** The next event of a stream. */
  note(stream: string, version: number): void {
    const before = this.#versions.get(stream);
    const expected = (before ?? 0) + 1;
    const isGap = version > expected && (before !== undefined || !this.mayBeginLate);
    if (isGap) this.#gaps.push({ stream, fromVersion: expected, throughVersion: version - 1 });
    if (before === undefined || version > before) this.#versions.set(stream, version);
  }
}
