/**
 * Which subjects a projection's state has something of: the keys of the events that it has handled.
 *
 * Kept with the state, so that nobody has to read the log to know whether a state has something of somebody who was forgotten. Above a limit no
 * more are remembered: then every forgetting counts.
 */

/** 36 bytes each in every checkpoint. */
export const TRACED_KEYS_MAX = 10_000;

/** In a checkpoint: the ids of keys, or `"many"`. */
export type SubjectTrace = readonly string[] | "many";

/** Whether a state with this trace has something of any of these keys. */
export function traces(trace: SubjectTrace, isForgotten: (keyId: string) => boolean): boolean {
  return trace === "many" || trace.some(isForgotten);
}

export function isSubjectTrace(value: unknown): value is SubjectTrace {
  return value === "many" || (Array.isArray(value) && value.every((id) => typeof id === "string"));
}

export class SubjectTraces {
  /** Null: too many. */
  #keys: Set<string> | null;

  constructor(trace: SubjectTrace) {
    this.#keys = trace === "many" ? null : new Set(trace);
  }

  add(keyId: string): void {
    if (this.#keys === null) return;
    if (this.#keys.size === TRACED_KEYS_MAX && !this.#keys.has(keyId)) this.#keys = null;
    else this.#keys.add(keyId);
  }

  hasAny(keyIds: readonly string[]): boolean {
    const keys = this.#keys;
    return keys === null || keyIds.some((id) => keys.has(id));
  }

  get trace(): SubjectTrace {
    return this.#keys === null ? "many" : [...this.#keys];
  }
}
