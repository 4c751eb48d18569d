/** Reading page by page sees what reading at once sees. */

import { join } from "node:path";
import { openReader, openStore, type Store } from "../../src/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("events/read-page");
const COUNT = 25;

let store: Store;
test.beforeEach(async () => {
  store = await openStore(join(temporaryDirectory(), "store"));
  for (let number = 1; number <= COUNT; number += 1) {
    await store.append(number % 5 === 0 ? "fifths" : "others", { type: "Counted", data: { number } });
  }
});
test.afterEach(() => store.close());

const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

for (const direction of ["forwards", "backwards"] as const) {
  for (const limit of [1, 7, 24, 25, 26]) {
    test(`the whole store ${direction} in pages of ${limit}, and on behind the last`, async () => {
      const lsns: number[] = [];
      const sizes: number[] = [];
      let page = await store.readAllPage({ limit, direction });
      for (;;) {
        lsns.push(...page.events.map(({ lsn }) => lsn));
        sizes.push(page.events.length);
        if (!page.hasMore || page.next === null) break;
        // A cursor outlives the process that read the page.
        page = await store.readAllPage(JSON.parse(JSON.stringify(page.next)));
      }
      assert.equal(lsns, direction === "forwards" ? upTo(COUNT) : upTo(COUNT).reverse());
      assert.is(sizes.length, Math.ceil(COUNT / limit));
      assert.is(page.next === null, direction === "backwards");
      if (page.next === null) return;
      assert.equal((await store.readAllPage(page.next)).events, []);
      const { lsn } = await store.append("others", { type: "Counted", data: {} });
      assert.equal(
        (await store.readAllPage(page.next)).events.map((event) => event.lsn),
        [lsn],
      );
    });
  }
}

test("a stream in pages, both ways, and by a reader", async () => {
  const reader = await openReader(store.directory);
  try {
    for (const source of [store, reader]) {
      const first = await source.readStreamPage("others", { limit: 12 });
      assert.equal(
        first.events.map(({ version }) => version),
        upTo(12),
      );
      assert.equal([first.hasMore, first.next], [true, { limit: 12, from: 13 }]);
      const second = await source.readStreamPage("others", first.next ?? {});
      assert.equal([second.events.length, second.hasMore, second.next], [8, false, { limit: 12, from: 21 }]);
      const last = await source.readStreamPage("fifths", { limit: 3, direction: "backwards" });
      assert.equal(
        last.events.map(({ version }) => version),
        [5, 4, 3],
      );
      const before = await source.readStreamPage("fifths", last.next ?? {});
      assert.equal([before.events.map(({ version }) => version), before.hasMore, before.next], [[2, 1], false, null]);
    }
    const all = await reader.readAllPage({ after: 10, through: 12 });
    assert.equal(
      all.events.map(({ lsn }) => lsn),
      [11, 12],
    );
  } finally {
    await reader.close();
  }
});

test("a stream that does not exist is an empty page, from which one can go on", async () => {
  const page = await store.readStreamPage("none");
  assert.equal(page, { events: [], hasMore: false, next: {} });
});

function misused(option: string): (error: Error) => boolean {
  return (error) => (error instanceof TypeError || error instanceof RangeError) && error.message.includes(option);
}

test("wrong options are told by name", async () => {
  await rejects(store.readAllPage({ limit: 0 }), misused("limit"));
  await rejects(store.readAllPage({ limit: 10_001 }), misused("limit"));
  await rejects(store.readStreamPage("others", { signal: null } as object), misused("signal"));
});
