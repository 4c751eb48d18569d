/** Lists of rectangles, read one at a time while events are applied. */

import type { ContentArena } from "./content-arena.js";

/**
 * What `gather` gives, in its order. A purge moves what rectangles refer to, and so does history that goes to files: behind either, those that are still to come are gathered anew.
 */
export function* gathered<Item>(
  contents: ContentArena,
  gather: () => readonly Item[],
  isBehind: (item: Item, last: Item) => boolean,
): Generator<Item, void, undefined> {
  let items = gather();
  let { moves } = contents;
  for (let at = 0; at < items.length; at += 1) {
    const item = items[at] as Item;
    yield item;
    if (contents.moves === moves) continue;
    moves = contents.moves;
    items = gather().filter((each) => isBehind(each, item));
    at = -1;
  }
}
