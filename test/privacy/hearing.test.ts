/** Who reads on while a subject is forgotten: nothing that is handed out afterwards has the content, however long ago it was read from the disk. */

import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { openReader, openStore, type RecordedEvent, type Store, type StoreReader } from "../../src/index.js";
import { keyOf } from "../encryption/support.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("privacy/hearing");
const EVENTS = 40;
let directory = "";
let subjectKeys = "";
let copy = "";
let store: Store;

test.beforeEach(async () => {
  const base = temporaryDirectory();
  directory = join(base, "store");
  subjectKeys = join(base, "subjects");
  mkdirSync(join(base, "copy"));
  copy = join(base, "copy", "subjects");
  store = await opened(subjectKeys);
  await store.append("notes", { type: "Noted", data: { text: "first" }, subject: "ann" });
});
test.afterEach(() => store.close());

function opened(keys: string): Promise<Store> {
  return openStore(directory, { encryption: { key: keyOf(1), subjectKeys: keys } });
}

/** In one frame, so that they are opened together. */
function note(subjects: readonly string[], count = EVENTS): Promise<unknown> {
  const events = Array.from({ length: count }, (_, index) => ({
    type: "Noted",
    data: { text: `secret ${index}` },
    metadata: { by: "secret" },
    subject: subjects[index % subjects.length] as string,
  }));
  return store.append("notes", events);
}

async function reader(keys: string): Promise<StoreReader> {
  return openReader(directory, { encryption: { key: keyOf(1), subjectKeys: keys } });
}

async function next(events: AsyncIterator<RecordedEvent, undefined>): Promise<RecordedEvent> {
  const { value } = await events.next();
  assert.ok(value !== undefined);
  return value as RecordedEvent;
}

function assertForgotten(event: RecordedEvent): void {
  assert.ok(event.forgotten, `LSN ${event.lsn} is forgotten`);
  assert.is(event.data, undefined);
  assert.equal(event.metadata, {});
  assert.is(event.payload.length, 0);
  assert.is(event.stream, "notes");
  assert.is(event.type, "Noted");
  assert.is(event.version, event.lsn - 1);
}

type Reading = (source: StoreReader | Store) => AsyncIterator<RecordedEvent, undefined>;
const READINGS: readonly (readonly [name: string, read: Reading])[] = [
  ["subscription", (source) => source.subscribe() as AsyncIterator<RecordedEvent, undefined>],
  [
    "subscription to a stream",
    (source) => source.subscribe({ stream: "notes" }) as AsyncIterator<RecordedEvent, undefined>,
  ],
  ["reading of the log", (source) => source.readAll() as AsyncIterator<RecordedEvent, undefined>],
  ["reading of a stream", (source) => source.readStream("notes") as AsyncIterator<RecordedEvent, undefined>],
];

for (const [name, read] of READINGS) {
  test(`a running ${name} hands out nothing of who was forgotten since it began, whatever file it has`, async () => {
    await note(["ann", "bob"]);
    copyFileSync(subjectKeys, copy);
    const readers = [await reader(subjectKeys), await reader(copy), await opened(subjectKeys), await opened(copy)];
    const running = readers.map((source) => read(source));
    for (const events of running) {
      let event = await next(events);
      while (event.stream !== "notes") event = await next(events);
      assert.equal(event.data, { text: "first" });
      assert.equal((await next(events)).data, { text: "secret 0" });
      assert.equal((await next(events)).data, { text: "secret 1" });
    }
    await store.forget("ann");
    for (const events of running) {
      for (let index = 2; index < EVENTS; index++) {
        const event = await next(events);
        if (index % 2 === 0) assertForgotten(event);
        else assert.equal(event.data, { text: `secret ${index}` });
      }
      await events.return?.();
    }
    for (const source of readers) await source.close();
  });
}

test("a subscription that waits hears of it before what comes behind it", async () => {
  copyFileSync(subjectKeys, copy);
  const other = await reader(copy);
  const events = other.subscribe({ after: 2 }) as AsyncIterator<RecordedEvent, undefined>;
  const types: string[] = [];
  const waiting = next(events);
  await note(["ann"], 3);
  types.push((await waiting).type);
  await store.forget("ann");
  for (let event = await next(events); ; event = await next(events)) {
    types.push(event.type);
    if (event.type !== "Noted") break;
    assertForgotten(event);
  }
  assert.equal(types, ["Noted", "Noted", "Noted", "varve.v1.SubjectForgotten"]);
  await events.return?.();
  await other.close();
});

test("a reader that came before any writer hears of who comes and forgets", async () => {
  await note(["ann"]);
  await store.close();
  copyFileSync(subjectKeys, copy);
  const other = await reader(copy);
  const events = other.subscribe() as AsyncIterator<RecordedEvent, undefined>;
  let event = await next(events);
  while (event.stream !== "notes") event = await next(events);
  assert.equal(event.data, { text: "first" });
  store = await opened(subjectKeys);
  await store.forget("ann");
  await new Promise((resolve) => setTimeout(resolve, 150));
  assertForgotten(await next(events));
  await events.return?.();
  await other.close();
});

test("a projection on a copy of the file is built again without the subject, once", async () => {
  const graph = await store.graph();
  const ann = await graph.createNode({ label: "Person", properties: { name: "Ann" }, validFrom: 0, subject: "ann" });
  const bob = await graph.createNode({ label: "Person", properties: { name: "Bob" }, validFrom: 0, subject: "bob" });
  copyFileSync(subjectKeys, copy);
  const other = await reader(copy);
  const seen = await other.graph();
  await seen.whenApplied(bob.lsn);
  assert.is(seen.asOf().node(ann.id)?.label, "Person");
  const { lsn } = await store.forget("ann");
  await seen.whenApplied(lsn);
  assert.is(seen.asOf().node(ann.id), undefined);
  assert.is(seen.asOf().node(bob.id)?.label, "Person");
  await other.close();
});

test("closing the store ends a subscription that is about to hear", async () => {
  await note(["ann"]);
  const other = await reader(subjectKeys);
  const events = other.subscribe({ after: 2 });
  await events.next();
  await store.forget("ann");
  const [step] = await Promise.all([events.next(), other.close()]);
  assert.ok(step.done === true || (step.value as RecordedEvent).forgotten);
  assert.is((await events.next()).done, true);
});
