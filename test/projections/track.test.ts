import { isStoreError } from "../../src/errors.js";
import type { FailurePolicy } from "../../src/projections/index.js";
import { Track } from "../../src/projections/track.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import type { NumberEvent } from "./memory-feed.js";
import { hashOf, type RunningHash, runningHash } from "./running-hash.js";

const test = suite("projections/track");
const forever = Number.POSITIVE_INFINITY;

function events(...lsns: readonly number[]): NumberEvent[] {
  return lsns.map((lsn) => ({ lsn, type: "Counted", recordedAt: lsn * 100, value: lsn }));
}

function trackOf(policy: FailurePolicy, failingLsn = 0): Track<RunningHash, NumberEvent> {
  const plain = runningHash();
  const projection = runningHash({
    apply: (state, event) => {
      if (event.lsn === failingLsn) throw new Error("no");
      return plain.apply(state, event);
    },
  });
  const start = { state: projection.init(), lsn: 0, witness: null, skippedEvents: 0, parked: [] };
  return new Track(projection, start, policy, () => undefined);
}

test("is at the LSN of the last event it applied or left out", () => {
  for (const policy of ["skip", "park"] as const) {
    const track = trackOf(policy, 3);
    assert.is(track.apply(events(1, 2, 3), 0, forever), 3);
    assert.is(track.lsn, 3);
    assert.equal(track.facts(null).witness, { lsn: 3, recordedAt: 300 });
    assert.equal(track.state, hashOf([1, 2]));
  }
});

test("applies at least one event, however late it is, and goes on where it stopped", () => {
  const track = trackOf("stop");
  const all = events(...Array.from({ length: 1000 }, (_, index) => index + 1));
  let index = 0;
  let slices = 0;
  while (index < all.length) {
    const next = track.apply(all, index, 0);
    assert.ok(next > index);
    index = next;
    slices += 1;
  }
  assert.ok(slices > 5);
  assert.equal(track.state, hashOf(all.map((event) => event.value)));
});

test("hints at every event once before it is applied, unless the time was up in between", () => {
  const hinted: number[] = [];
  const projection = runningHash({
    prepare: (_, all, from, to) => hinted.push(...all.slice(from, to).map(({ lsn }) => lsn)),
    apply: (state, event) => {
      assert.ok(hinted.includes(event.lsn), `LSN ${event.lsn}`);
      return runningHash().apply(state, event);
    },
  });
  const start = { state: projection.init(), lsn: 0, witness: null, skippedEvents: 0, parked: [] };
  const track = new Track(projection, start, "stop", () => undefined);
  const all = events(...Array.from({ length: 200 }, (_, index) => index + 1));
  track.apply(all, 0, forever);
  assert.equal(
    hinted,
    all.map(({ lsn }) => lsn),
  );
});

test("a feed that goes back, or repeats an event, is a bug and not an event to leave out", () => {
  for (const wrong of [events(1, 2, 2), events(2, 1)]) {
    const track = trackOf("skip");
    let caught: unknown;
    try {
      track.apply(wrong, 0, forever);
    } catch (error) {
      caught = error;
    }
    assert.ok(caught instanceof Error && caught.name === "AssertionError");
    assert.not(isStoreError(caught));
  }
});

test("a list of parked events that was handed out stays as it was", () => {
  const track = trackOf("park", 1);
  const before = track.parked;
  track.apply(events(1), 0, forever);
  assert.is(before.length, 0);
  assert.is(track.parked.length, 1);
});
