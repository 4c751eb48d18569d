/** Chance that can be had again: independent sequences of one seed, each for a purpose of its own. */

export interface Chance {
  /** In [0, 1). */
  next(): number;
  /** In [0, maxExclusive). */
  integer(maxExclusive: number): number;
  /** True with that probability; takes no number where that is 0. */
  happens(probability: number): boolean;
  pick<Item>(items: readonly Item[]): Item;
}

/** Mulberry32 (Tommy Ettinger): one word of state, enough for choosing. */
export function chance(seed: number, purpose: string): Chance {
  let state = seed | 0;
  for (let index = 0; index < purpose.length; index++) state = Math.imul(state ^ purpose.charCodeAt(index), 0x01000193);
  state = (state ^ Math.floor(seed / 2 ** 32)) | 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), 1 | state);
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (maxExclusive: number): number => Math.floor(next() * maxExclusive);
  return {
    next,
    integer,
    happens: (probability) => probability > 0 && next() < probability,
    pick: <Item>(items: readonly Item[]): Item => items[integer(items.length)] as Item,
  };
}
