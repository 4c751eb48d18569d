/** The smallest part of a list that still fails: larger pieces are left out first, then single ones. */

export function shrink<Item>(list: readonly Item[], fails: (part: readonly Item[]) => boolean): readonly Item[] {
  let left = list;
  for (let size = Math.ceil(left.length / 2); size >= 1; ) {
    let dropped = false;
    for (let at = 0; at < left.length; ) {
      const part = [...left.slice(0, at), ...left.slice(at + size)];
      if (part.length > 0 && fails(part)) {
        left = part;
        dropped = true;
      } else at += size;
    }
    // What was needed before may not be now.
    if (!dropped || size > 1) size = size === 1 ? 0 : Math.ceil(size / 2);
  }
  return left;
}
