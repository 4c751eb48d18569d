import { EventCursor } from "../../src/events/event-cursor.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("events/event-cursor");

interface Source {
  readonly batches: AsyncGenerator<readonly number[], void, undefined>;
  /** Whether the batches have given everything back. */
  isClosed: boolean;
}

/** Batches that each take a turn of the event loop. */
function sourceOf(...all: readonly (readonly number[])[]): Source {
  const state = { isClosed: false };
  async function* produce(): AsyncGenerator<readonly number[], void, undefined> {
    try {
      for (const batch of all) {
        await new Promise(setImmediate);
        yield batch;
      }
    } finally {
      state.isClosed = true;
    }
  }
  return Object.assign(state, { batches: produce() });
}

const NO_LIMIT = Number.MAX_SAFE_INTEGER;

async function valuesOf(promises: readonly Promise<IteratorResult<number, undefined>>[]): Promise<unknown[]> {
  const results = await Promise.all(promises);
  return results.map((result) => (result.done === true ? "end" : result.value));
}

test("hands out the events of all batches in order, empty batches or not", async () => {
  const cursor = new EventCursor(sourceOf([], [1, 2], [], [], [3], []).batches, NO_LIMIT);
  const seen: number[] = [];
  for await (const event of cursor) seen.push(event);
  assert.equal(seen, [1, 2, 3]);
});

test("calls of next that were not awaited answer in order: nothing twice, nothing lost, nothing out of order", async () => {
  const cursor = new EventCursor(sourceOf([1, 2, 3], [4], [], [5, 6]).batches, NO_LIMIT);
  assert.equal(await valuesOf(Array.from({ length: 8 }, () => cursor.next())), [1, 2, 3, 4, 5, 6, "end", "end"]);
});

test("a call of next made when an earlier one answers stands behind those that wait already", async () => {
  const cursor = new EventCursor(sourceOf([1, 2, 3, 4]).batches, NO_LIMIT);
  const order: unknown[] = [];
  const note = (name: string) => (result: IteratorResult<number, undefined>) => order.push([name, result.value]);
  let late: Promise<unknown> = Promise.resolve();
  const first = cursor.next().then((result) => {
    note("first")(result);
    late = cursor.next().then(note("late"));
  });
  const others = [cursor.next().then(note("second")), cursor.next().then(note("third"))];
  await Promise.all([first, ...others]);
  await late;
  assert.equal(order, [
    ["first", 1],
    ["second", 2],
    ["third", 3],
    ["late", 4],
  ]);
});

test("ends after the limit, in the middle of a batch or at its end, and gives everything back without another call", async () => {
  for (const limit of [1, 2, 3]) {
    const source = sourceOf([1, 2], [3, 4]);
    const cursor = new EventCursor(source.batches, limit);
    for (let event = 1; event <= limit; event++) assert.equal(await cursor.next(), { done: false, value: event });
    await new Promise(setImmediate);
    assert.ok(source.isClosed, `closed at limit ${limit}`);
    assert.equal(await valuesOf([cursor.next(), cursor.next()]), ["end", "end"]);
  }
});

test("with a limit of 0 it ends without reading", async () => {
  const source = sourceOf([1]);
  assert.equal(await valuesOf([new EventCursor(source.batches, 0).next()]), ["end"]);
});

test("break gives everything back", async () => {
  const source = sourceOf([1, 2], [3]);
  for await (const event of new EventCursor(source.batches, NO_LIMIT)) if (event === 1) break;
  assert.ok(source.isClosed);
});

test("after return every next is the end, and a second return is harmless", async () => {
  const cursor = new EventCursor(sourceOf([1, 2]).batches, NO_LIMIT);
  await cursor.next();
  assert.equal(await cursor.return(), { done: true, value: undefined });
  assert.equal(await cursor.return(), { done: true, value: undefined });
  assert.equal(await valuesOf([cursor.next()]), ["end"]);
});

test("return before the first next ends it too", async () => {
  const cursor = new EventCursor(sourceOf([1]).batches, NO_LIMIT);
  await cursor.return();
  assert.equal(await valuesOf([cursor.next()]), ["end"]);
});

test("return ends a next that waits for a batch that never comes", async () => {
  let wake = (): void => {};
  const batches = (async function* (): AsyncGenerator<readonly number[], void, undefined> {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  })();
  const cursor = new EventCursor(batches, NO_LIMIT, { onReturn: () => wake() });
  const waiting = [cursor.next(), cursor.next()];
  assert.equal(await cursor.return(), { done: true, value: undefined });
  assert.equal(await valuesOf(waiting), ["end", "end"]);
});

test("an error of the batches is thrown once, to the call that waits for it; then it has ended", async () => {
  const batches = (async function* (): AsyncGenerator<readonly number[], void, undefined> {
    yield [1];
    throw new Error("torn");
  })();
  const cursor = new EventCursor(batches, NO_LIMIT);
  const calls = [cursor.next(), cursor.next(), cursor.next()];
  assert.equal(await valuesOf([calls[0] as Promise<IteratorResult<number, undefined>>]), [1]);
  await rejects(calls[1] as Promise<unknown>, (error) => error.message === "torn");
  assert.equal(await valuesOf([calls[2] as Promise<IteratorResult<number, undefined>>]), ["end"]);
});

test("nothing is delivered after an abort, not even what had been read", async () => {
  const source = sourceOf([1, 2, 3]);
  const controller = new AbortController();
  const cursor = new EventCursor(source.batches, NO_LIMIT, { signal: controller.signal });
  await cursor.next();
  controller.abort(new Error("enough"));
  await rejects(cursor.next(), (error) => error.message === "enough");
  assert.equal(await valuesOf([cursor.next()]), ["end"]);
  assert.ok(source.isClosed);
});
