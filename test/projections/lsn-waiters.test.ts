import { LsnWaiters } from "../../src/projections/lsn-waiters.js";
import { assert, rejects } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";

const test = suite("projections/lsn-waiters");
const timedOut = (reachedLsn: number): Error => new Error(`reached ${reachedLsn}`);

test("lets go exactly those whose LSN was reached, in the order of their LSNs", async () => {
  const waiters = new LsnWaiters();
  const random = seededRandom();
  const gone: number[] = [];
  const all = Array.from({ length: 200 }, () => {
    const lsn = 1 + random.integer(100);
    return waiters.wait(lsn, {}, timedOut).then(() => gone.push(lsn));
  });
  let reached = 0;
  while (reached < 100) {
    reached += 1 + random.integer(9);
    waiters.reach(reached);
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(gone.every((lsn) => lsn <= reached));
  }
  await Promise.all(all);
  assert.equal(
    gone,
    [...gone].sort((left, right) => left - right),
  );
});

test("what was reached already is not waited for, also after a failure", async () => {
  const waiters = new LsnWaiters();
  waiters.reach(5);
  waiters.reach(3);
  waiters.fail(new Error("closed"));
  waiters.fail(new Error("closed again"));
  await waiters.wait(5, {}, timedOut);
  await rejects(waiters.wait(6, {}, timedOut), (error) => error.message === "closed");
});

test("one that gives up leaves no timer, no listener and no one else behind", async () => {
  const waiters = new LsnWaiters();
  const abort = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = abort.signal;
  abort.signal.addEventListener = (...given: Parameters<typeof addEventListener>): void => {
    listeners += 1;
    addEventListener.apply(abort.signal, given);
  };
  abort.signal.removeEventListener = (...given: Parameters<typeof removeEventListener>): void => {
    listeners -= 1;
    removeEventListener.apply(abort.signal, given);
  };
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  const reaching = waiters.wait(1, { signal: abort.signal, timeoutMs: 60_000 }, timedOut);
  const late = waiters.wait(2, { signal: abort.signal, timeoutMs: 1 }, timedOut);
  const aborted = waiters.wait(3, { signal: abort.signal, timeoutMs: 60_000 }, timedOut);
  const patient = waiters.wait(4, {}, timedOut);
  assert.is(listeners, 3);
  waiters.reach(1);
  await reaching;
  await rejects(late, (error) => error.message === "reached 1");
  abort.abort(new Error("enough"));
  await rejects(aborted, (error) => error.message === "enough");
  assert.is(listeners, 0);
  assert.is(timers(), before);
  waiters.reach(4);
  await patient;
});

test("a timeout that no timer can count is refused", async () => {
  for (const timeoutMs of [-1, Number.NaN, 2 ** 31, Number.POSITIVE_INFINITY]) {
    await rejects(new LsnWaiters().wait(1, { timeoutMs }, timedOut), (error) => error instanceof TypeError);
  }
  const misspelt = { timeout: 1 } as object;
  await rejects(new LsnWaiters().wait(1, misspelt, timedOut), (error) =>
    /unknown option "timeout"/.test(error.message),
  );
});
