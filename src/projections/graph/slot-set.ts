/** Slots that were seen: an open hash table of Int32s, at most half full. For a few dozen, several times as fast as a `Set`. */

const FIRST_PLACES = 512;

export class SlotSet {
  #places = new Int32Array(FIRST_PLACES);
  #size = 0;

  /** False when it was there. Slots are above 0. */
  add(slot: number): boolean {
    const places = this.#places;
    const place = placeOf(places, slot);
    if (places[place] === slot) return false;
    places[place] = slot;
    this.#size += 1;
    if (this.#size * 2 > places.length) this.#grow();
    return true;
  }

  /** Forgets all, and the memory of many. */
  clear(): void {
    if (this.#places.length === FIRST_PLACES) this.#places.fill(0);
    else this.#places = new Int32Array(FIRST_PLACES);
    this.#size = 0;
  }

  #grow(): void {
    const smaller = this.#places;
    this.#places = new Int32Array(smaller.length * 4);
    for (const slot of smaller) if (slot !== 0) this.#places[placeOf(this.#places, slot)] = slot;
  }
}

/** Where the slot is, or the free place where it belongs. */
function placeOf(places: Int32Array, slot: number): number {
  const mask = places.length - 1;
  const hash = Math.imul(slot, 0x9e3779b1);
  let place = (hash ^ (hash >>> 15)) & mask;
  while (places[place] !== 0 && places[place] !== slot) place = (place + 1) & mask;
  return place;
}
