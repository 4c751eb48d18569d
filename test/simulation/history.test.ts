import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { dataOf, EVENT_TYPE, History, NOTHING_MISSING, type SeenEvent } from "./history.js";

const test = suite("simulation/history");

/** The only event of an append to a stream of its own. */
function eventOf(name: string, lsn: number): SeenEvent {
  const data = dataOf(name, 0, 1);
  return { lsn, stream: `stream-${name}`, version: 1, type: EVENT_TYPE, recordedAt: lsn, data };
}

function historyOf(...names: readonly string[]): History {
  const history = new History();
  for (const [index, name] of names.entries()) {
    history.attempt(name, [{ stream: `stream-${name}`, count: 1 }]);
    history.acknowledge(name, [{ lsn: index + 1, version: 1 }]);
  }
  return history;
}

test("a log that holds what was acknowledged is as it should be", () => {
  assert.is(historyOf("a", "b").check([eventOf("a", 1), eventOf("b", 2)], 2, NOTHING_MISSING).events, 2);
});

test("an acknowledged append that is gone is found out, whatever else is there", () => {
  assert.throws(() => historyOf("a", "b").check([eventOf("a", 1)], 1, NOTHING_MISSING), /P1: b was acknowledged/);
});

test("what the device has lost of an incarnation may be gone, and of another may not", () => {
  const history = (incarnation: number): History => {
    const made = new History(() => incarnation);
    made.attempt("a", [{ stream: "stream-a", count: 1 }]);
    made.acknowledge("a", [{ lsn: 1, version: 1 }]);
    made.attempt("b", [{ stream: "stream-b", count: 1 }]);
    return made;
  };
  const limits = {
    ...NOTHING_MISSING,
    mayBeGone: (lsn: number, incarnation: number) => lsn === 1 && incarnation === 1,
  };
  // Its LSN has another event now.
  assert.is(history(1).check([eventOf("b", 1)], 1, limits).unacknowledged, 1);
  assert.throws(() => history(2).check([eventOf("b", 1)], 1, limits), /P1: a was acknowledged/);
  assert.throws(() => history(1).check([eventOf("b", 1)], 1, NOTHING_MISSING), /P1: a was acknowledged/);
});

test("a gap is found out, but for voids", () => {
  const history = historyOf("a");
  history.attempt("b", [{ stream: "stream-b", count: 1 }]);
  const events = [eventOf("a", 1), eventOf("b", 3)];
  assert.throws(() => history.check(events, 3, NOTHING_MISSING), /P2: LSN 2 is missing/);
  history.sawVoids([[2, 2]]);
  assert.is(history.check(events, 3, NOTHING_MISSING).unacknowledged, 1);
});

test("half an append, another content, and one that was refused are found out", () => {
  const half = new History();
  half.attempt("a", [{ stream: "stream-a", count: 2 }]);
  const first = { ...eventOf("a", 1), data: dataOf("a", 0, 2) };
  assert.throws(() => half.check([first], 1, NOTHING_MISSING), /P3: a is half there/);

  const changed = { ...eventOf("a", 1), data: { ...dataOf("a", 0, 1), text: "another" } };
  assert.throws(() => historyOf("a").check([changed], 1, NOTHING_MISSING), /P5: .* another content/);

  const refused = new History();
  refused.attempt("a", [{ stream: "stream-a", count: 1 }]);
  refused.refuse("a", "ERR_EVENTS_VERSION_CONFLICT");
  assert.throws(() => refused.check([eventOf("a", 1)], 1, NOTHING_MISSING), /P3: a was refused/);
});

test("what somebody has seen must stay", () => {
  const history = new History();
  for (const name of ["a", "b"]) history.attempt(name, [{ stream: `stream-${name}`, count: 1 }]);
  history.see(eventOf("a", 1));
  assert.throws(() => history.see(eventOf("b", 1)), /P4: LSN 1/);
  assert.throws(() => history.check([], 0, NOTHING_MISSING), /P4: LSN 1.* was seen and is gone/);
});

test("a stream that was to forget may have forgotten, and no further", () => {
  const history = historyOf("a", "b");
  history.mayForget("stream-a", 1);
  assert.is(history.check([eventOf("b", 2)], 2, NOTHING_MISSING).events, 1);
  assert.throws(() => history.check([eventOf("a", 1)], 1, NOTHING_MISSING), /P1: b/);
});

test("where the disk was damaged only what nothing attests may be gone", () => {
  const limits = { horizon: 0, lostAbove: 1 };
  assert.is(historyOf("a", "b").check([eventOf("a", 1)], 1, limits).events, 1);
  assert.throws(() => historyOf("a", "b").check([], 0, limits), /P1: a/);
});
