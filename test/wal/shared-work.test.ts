/** Work that is done once for all who ask meanwhile. */

import { setImmediate as nextTurn } from "node:timers/promises";
import { SharedWork } from "../../src/wal/shared-work.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("wal/shared-work");

interface Round {
  resolve(round: number): void;
  reject(error: Error): void;
}

function counted(): { readonly work: SharedWork<number>; readonly rounds: Round[] } {
  const rounds: Round[] = [];
  const work = new SharedWork(
    () => new Promise<number>((resolve, reject) => rounds.push({ resolve: (round) => resolve(round), reject })),
  );
  return { work, rounds };
}

test("all who ask while it is under way are answered by one more round, and none by the one before", async () => {
  const { work, rounds } = counted();
  const first = work.ask();
  const later = [work.ask(), work.ask(), work.ask()];
  assert.is(rounds.length, 1);
  rounds[0]?.resolve(1);
  assert.is(await first, 1);
  await nextTurn();
  assert.is(rounds.length, 2);
  rounds[1]?.resolve(2);
  assert.equal(await Promise.all(later), [2, 2, 2]);
  const third = work.ask();
  rounds[2]?.resolve(3);
  assert.is(await third, 3);
  await work.settled();
});

test("a round that fails is told to those who asked for it, and the next is done all the same", async () => {
  const { work, rounds } = counted();
  const first = work.ask();
  const second = work.ask();
  const settled = work.settled();
  const own = new Error("mine");
  rounds[0]?.reject(own);
  await rejects(first, (error) => error === own);
  await settled;
  await nextTurn();
  rounds[1]?.resolve(2);
  assert.is(await second, 2);
});
