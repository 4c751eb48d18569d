import { AppendWindow } from "../../src/cli/append-window.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("cli/append-window");

interface Append {
  readonly promise: Promise<void>;
  answer(): void;
  refuse(error: Error): void;
}

function makeAppend(): Append {
  let answer = (): void => {};
  let refuse = (_error: Error): void => {};
  const promise = new Promise<void>((resolve, reject) => {
    answer = resolve;
    refuse = reject;
  });
  return { promise, answer: () => answer(), refuse: (error) => refuse(error) };
}

const same = (error: unknown) => error;

async function isSettled(promise: Promise<void>): Promise<boolean> {
  const pending = Symbol("pending");
  const first = await Promise.race([promise, new Promise((resolve) => setImmediate(resolve, pending))]);
  return first !== pending;
}

test("waits while as many appends, or as many events, are outstanding as may be", async () => {
  for (const [appendsMax, events] of [
    [2, 1],
    [99, 40_000],
  ] as const) {
    const window = new AppendWindow(appendsMax);
    const appends = [makeAppend(), makeAppend()] as const;
    for (const append of appends) {
      assert.ok(await isSettled(window.whenRoom()));
      window.add(append.promise, events, same);
    }
    const room = window.whenRoom();
    assert.not.ok(await isSettled(room));
    appends[1].answer();
    assert.ok(await isSettled(room));
    const empty = window.whenEmpty();
    assert.not.ok(await isSettled(empty));
    appends[0].answer();
    await empty;
  }
});

test("tells the first failure, and only after all are answered when it waits for the end", async () => {
  const window = new AppendWindow(10);
  const appends = [makeAppend(), makeAppend(), makeAppend()] as const;
  for (const append of appends) window.add(append.promise, 1, same);
  appends[1].refuse(new Error("first"));
  await new Promise((resolve) => setImmediate(resolve));
  await rejects(window.whenRoom(), (error) => error.message === "first");
  const empty = rejects(window.whenEmpty(), (error) => error.message === "first");
  appends[2].refuse(new Error("second"));
  appends[0].answer();
  await empty;
});

test("a refusal that is there at once is known one microtask later", async () => {
  const window = new AppendWindow(10);
  window.add(Promise.reject(new Error("no")), 1, () => new Error("line 7: no"));
  window.throwFailure();
  await null;
  await rejects(
    () => window.throwFailure(),
    (error) => error.message === "line 7: no",
  );
});
