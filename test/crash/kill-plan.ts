/**
 * What each append of the kill test consists of: all of it follows from its name, so that the parent knows what the child appended
 * without being told more than the name.
 */

import { createHash } from "node:crypto";

export const CALLER_COUNT = 6;
const SHARED_STREAM_COUNT = 4;
const TEXT_CHARACTERS_MAX = 1500;
const LARGE_TEXT_CHARACTERS_MAX = 12_000;

export interface PlannedPart {
  readonly stream: string;
  readonly texts: readonly string[];
}

export interface PlannedAppend {
  readonly name: string;
  /** Several for an append over several streams. */
  readonly parts: readonly PlannedPart[];
  readonly durability: "sync" | "group" | "async" | "asyncBatched";
  /** Appended to the caller's own stream at exactly the version it knows. */
  readonly expectsVersion: boolean;
}

/** The data of one event: which append it belongs to, and its place in it. */
export interface PlannedData {
  readonly name: string;
  readonly index: number;
  readonly text: string;
}

/** Numbers that follow from a name, the same in every process. */
class NamedNumbers {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(name: string) {
    this.#bytes = createHash("shake256", { outputLength: 512 }).update(name).digest();
  }

  integer(maxExclusive: number): number {
    const word = this.#bytes.readUInt32LE(this.#at);
    this.#at += 4;
    return word % maxExclusive;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.integer(items.length)] as Item;
  }
}

function textOf(numbers: NamedNumbers): string {
  const length = numbers.integer(numbers.integer(12) === 0 ? LARGE_TEXT_CHARACTERS_MAX : TEXT_CHARACTERS_MAX);
  return `${numbers.integer(2 ** 32).toString(36)} `.repeat(length).slice(0, length);
}

/** `name` is `round.caller.number`. */
export function planOf(name: string): PlannedAppend {
  const numbers = new NamedNumbers(name);
  const own = `caller-${name.split(".")[1]}`;
  const durability = numbers.pick(["sync", "group", "group", "group", "async", "asyncBatched"] as const);
  const texts = (): string[] => Array.from({ length: 1 + numbers.integer(4) }, () => textOf(numbers));
  const kind = numbers.integer(3);
  if (kind === 0) return { name, parts: [{ stream: own, texts: texts() }], durability, expectsVersion: true };
  const shared = Array.from({ length: SHARED_STREAM_COUNT }, (_, index) => `shared-${index}`);
  const streams = kind === 1 ? [numbers.pick(shared)] : shared.filter(() => numbers.integer(2) === 0);
  const parts = [...streams, ...(kind === 2 ? [own] : [])].map((stream) => ({ stream, texts: texts() }));
  return { name, parts, durability, expectsVersion: false };
}

/** The events in the order in which their LSNs follow one another. */
export function eventsOf(plan: PlannedAppend): { readonly stream: string; readonly data: PlannedData }[] {
  const events: { stream: string; data: PlannedData }[] = [];
  for (const { stream, texts } of plan.parts)
    for (const text of texts) events.push({ stream, data: { name: plan.name, index: events.length, text } });
  return events;
}
