import { join } from "node:path";
import { type RestoreStoreOptions, restoreStore } from "../../src/events/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { collect, openEventReader, openEventStore } from "./support/open-event-store.js";

const test = suite("events/backup-options");

test("events come back as they were: their ids, data, streams, versions, times", async () => {
  const directory = temporaryDirectory();
  const store = await openEventStore({}, join(directory, "store"));
  await store.append("a", [{ type: "One", data: { n: 1 }, metadata: { by: "test" } }]);
  await store.append("b", [
    { type: "Two", data: "two", id: "own-id" },
    { type: "Three", data: null },
  ]);
  await store.append("a", [{ type: "Four", data: [4] }]);
  const shown = async (events: AsyncIterable<object>): Promise<unknown[]> =>
    (await collect(events)).map((event) => {
      const { id, type, data, metadata, stream, version, lsn, recordedAt } = event as Record<string, unknown>;
      return { id, type, data, metadata, stream, version, lsn, recordedAt };
    });
  const before = await shown(store.readAll());
  const backup = join(directory, "backup");
  assert.is((await store.backup(backup)).lsn, 4);
  await store.close();
  const restored = join(directory, "restored");
  const report = await restoreStore(backup, restored);
  assert.equal([report.lsn, report.restored.events, report.backup, report.directory], [4, 4, backup, restored]);
  for (const place of [backup, restored]) {
    const reader = await openEventReader(place);
    assert.equal(await shown(reader.readAll()), before);
    await reader.close();
  }
});

test("wrong arguments and options are named, and nothing is written", async () => {
  const directory = temporaryDirectory();
  const store = await openEventStore({}, join(directory, "store"));
  const names = (part: string) => (error: Error) => error instanceof TypeError && error.message.includes(part);
  await rejects(store.backup(""), names("directory"));
  await rejects(store.backup(7 as unknown as string), names("directory"));
  await rejects(store.backup("b", { fast: true } as object), names('"fast"'));
  await rejects(store.backup("b", { signal: "stop" } as object), names("signal"));
  await store.close();
  await rejects(store.backup(join(directory, "b")), "ERR_STORE_CLOSED");
  const restoring = (options: unknown): Promise<unknown> =>
    restoreStore("backup", join(directory, "restored"), options as RestoreStoreOptions);
  for (const [options, part] of [
    [{ to: 3 }, '"to"'],
    [{ toLsn: "3" }, "toLsn"],
    [{ toLsn: 1.5 }, "toLsn"],
    [{ toTime: new Date() }, "toTime"],
    [{ toLsn: 1, toTime: 1 }, "exclude"],
    [{ dryRun: 1 }, "dryRun"],
    [{ onProgress: true }, "onProgress"],
    [{ signal: 1 }, "signal"],
  ] as const) {
    await rejects(restoring(options), names(part));
  }
  await rejects(restoring({ toLsn: -1 }), (error) => error instanceof RangeError);
  await rejects(restoreStore("", "x"), names("backup"));
  await rejects(restoreStore("x", ""), names("directory"));
});
