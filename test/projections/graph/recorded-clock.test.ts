import { RecordedClock } from "../../../src/projections/graph/recorded-clock.js";
import { assert } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";

const test = suite("projections/graph/recorded clock");

test("every LSN has the time of the last anchor at or before it, while anchors are added", () => {
  for (const gapMax of [1, 2, 1_000, 2 ** 40]) {
    const random = seededRandom(gapMax);
    const clock = new RecordedClock();
    const anchors: { readonly lsn: number; readonly time: number }[] = [];
    let lsn = 0;
    for (let count = 0; count < 700; count += 1) {
      // Runs that are dense, and stretches without any.
      lsn += random.integer(10) < 8 ? 1 : 1 + random.integer(gapMax);
      clock.advance(lsn, count * 7);
      clock.anchor();
      anchors.push({ lsn, time: count * 7 });
      const asked = [1, lsn - 1, lsn, anchors[random.integer(anchors.length)]?.lsn ?? 0, 1 + random.integer(lsn)];
      for (const wanted of asked.flatMap((each) => [each - 1, each, each + 1])) {
        const known = anchors.findLast((each) => each.lsn <= wanted)?.time ?? Number.NEGATIVE_INFINITY;
        assert.is(clock.timeOf(wanted), known, `LSN ${wanted} of ${lsn}, gaps up to ${gapMax}`);
      }
    }
  }
});
