/** Wall-clock time in µs since 1970. `Date.now` steps by whole milliseconds; the monotonic clock fills in the rest. */

const RESYNC_US = 2_000;

export type Clock = () => number;

/** A clock that follows the system's, steps included, with a resolution of about a microsecond. */
export function wallClock(): Clock {
  let originUs = Date.now() * 1000 - performance.now() * 1000;
  return () => {
    const wallUs = Date.now() * 1000;
    const fineUs = Math.floor(originUs + performance.now() * 1000);
    if (Math.abs(fineUs - wallUs) <= RESYNC_US) return fineUs;
    originUs = wallUs - performance.now() * 1000;
    return wallUs;
  };
}
