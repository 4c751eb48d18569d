/**
 * The oracle of subjects: whose events may be read, and whose must not be. It goes by what its callers asked and were told, and by the ids of
 * events, which stay readable.
 *
 * - What was acknowledged, or seen, before a forgetting was asked for is never read again once that was acknowledged: by nobody, in no restored
 *   backup, after no crash.
 * - No event is forgotten unless somebody asked for it, and was not told that it was done before the event's append began.
 * - A forgotten event keeps its LSN, type, stream and version: `seenEvent` puts its content in again, and `History` compares.
 */

import { Violation } from "./violation.js";

const SEPARATOR = "|";

/** What the id of an event says. */
export interface EventId {
  readonly name: string;
  readonly index: number;
  readonly count: number;
}

export function idOf({ name, index, count }: EventId, subject: string): string {
  return [name, index, count, subject].join(SEPARATOR);
}

export function idIn(id: string): EventId & { readonly subject: string } {
  const [name = "", index, count, subject = ""] = id.split(SEPARATOR);
  return { name, index: Number(index), count: Number(count), subject };
}

/** Of an event of a subject, as somebody has just read it. */
export interface SubjectReading {
  readonly subject: string;
  /** Of its append. */
  readonly name: string;
  readonly isForgotten: boolean;
}

interface Asking {
  readonly askedAt: number;
  doneAt: number;
}

export class SubjectOracle {
  /** What happened, counted: this came before that. */
  #moment = 0;
  readonly #begun = new Map<string, number>();
  /** When an append was first told of, or seen. */
  readonly #known = new Map<string, number>();
  readonly #askings = new Map<string, Asking[]>();
  readonly counts = { forgettings: 0, readings: 0, forgottenReadings: 0 };

  begin(name: string): void {
    this.#begun.set(name, this.#moment++);
  }

  know(name: string): void {
    if (!this.#known.has(name)) this.#known.set(name, this.#moment++);
  }

  /** Before a subject can be forgotten; what comes back is to be called when it was acknowledged. */
  ask(subject: string): () => void {
    const asking = { askedAt: this.#moment++, doneAt: Number.POSITIVE_INFINITY };
    const before = this.#askings.get(subject);
    if (before === undefined) this.#askings.set(subject, [asking]);
    else before.push(asking);
    return () => {
      asking.doneAt = this.#moment++;
      this.counts.forgettings++;
    };
  }

  judge({ subject, name, isForgotten }: SubjectReading, here: string): void {
    const askings = this.#askings.get(subject) ?? [];
    this.counts.readings++;
    if (isForgotten) {
      this.counts.forgottenReadings++;
      const begunAt = this.#begun.get(name) ?? Number.POSITIVE_INFINITY;
      const isAsked = askings.some(({ doneAt }) => doneAt > begunAt);
      if (!isAsked) throw new Violation(`privacy: ${here} of ${subject} is forgotten, and nobody asked`);
    } else {
      const knownAt = this.#known.get(name) ?? Number.POSITIVE_INFINITY;
      const isGone = askings.some(({ askedAt, doneAt }) => askedAt > knownAt && doneAt < Number.POSITIVE_INFINITY);
      if (isGone) throw new Violation(`privacy: ${here} of ${subject} was forgotten, and is read`);
    }
    this.know(name);
  }
}
