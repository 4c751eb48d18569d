import { type VerifiedEvent, verifyEvents } from "../../src/events/verify-events.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("events/verify-events");
const NOTHING_SEALED = {
  segments: 0,
  lastLsn: 0,
  horizon: 0,
  records: 0,
  removedLsns: 0,
  sparedRecords: 0,
  voidLsns: 0,
};

/** A log whose watermark is what `watermark` says at that moment, and which gives the events up to `lastLsn`. */
function readerOf(lastLsn: number, watermark: () => number): Parameters<typeof verifyEvents>[0] {
  return {
    get watermark() {
      return watermark();
    },
    voids: [],
    recovery: { row: "J" } as never,
    verifySealed: () => Promise.resolve({ ...NOTHING_SEALED, anchor: null } as never),
    async *readBatches() {
      for (let lsn = 1; lsn <= lastLsn; lsn++) {
        const event: VerifiedEvent = { lsn, stream: "s", version: lsn, metadata: null, forgotten: false };
        yield [event];
      }
    },
  };
}

test("what is written while a log is verified does not count as missing", async () => {
  let watermark = 3;
  const { events, lastLsn, voidLsns } = await verifyEvents(
    readerOf(3, () => watermark),
    () => watermark++,
  );
  assert.equal([events, lastLsn, voidLsns], [3, 3, 0]);
});

test("a log that ends before its watermark is damaged", async () => {
  const error = await rejects(verifyEvents(readerOf(3, () => 5)), "ERR_WAL_CORRUPT");
  assert.match(error.message, /ends at LSN 3, not at 5/);
});
