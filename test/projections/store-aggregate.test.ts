/** A stream folded: from its first event, from a snapshot, and never from one that is not the fold of what can be read. */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { FileLock } from "../../src/ffi/index.js";
import {
  type Aggregate,
  type AggregateResult,
  openReader,
  openStore,
  type RecordedEvent,
  rekeyStore,
  type Store,
  type StoreError,
} from "../../src/index.js";
import { SNAPSHOT_WRITES_MAX } from "../../src/projections/stream-snapshots.js";
import { keyOf } from "../encryption/support.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("projections/store-aggregate");

type Bank = { Deposited: { cents: number } };
type Account = { cents: number; versions: number[] };

const seen: number[] = [];
const account: Aggregate<Account, RecordedEvent<Bank>> = {
  initial: () => ({ cents: 0, versions: [] }),
  evolve: (state, event) => {
    seen.push(event.version);
    return { cents: state.cents + event.data.cents, versions: [...state.versions, event.version] };
  },
};
const kept: typeof account = { ...account, snapshot: { name: "account", version: 1, every: 5 } };

let directory = "";
test.beforeEach(() => {
  directory = join(temporaryDirectory(), "store");
  seen.length = 0;
});

async function deposit(store: Store<Bank>, stream: string, count: number, subject?: string): Promise<void> {
  for (let index = 0; index < count; index++) {
    await store.append(stream, { type: "Deposited", data: { cents: 1 }, ...(subject !== undefined && { subject }) });
  }
}

const folder = (): string => join(directory, "projections", "account", "snapshots");

function snapshotFiles(): string[] {
  if (!existsSync(folder())) return [];
  return readdirSync(folder(), { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(checkpoint|tmp)$/.test(name))
    .map((name) => join(folder(), name));
}

/** Folds, and waits until what the fold wants kept is written: closing does. */
async function foldAndClose(): Promise<AggregateResult<Account>> {
  const store = await openStore<Bank>(directory);
  const result = await store.aggregateStream("a", kept);
  await store.close();
  return result;
}

const upTo = (version: number, from = 1): number[] => Array.from({ length: version - from + 1 }, (_, i) => i + from);

/** A closed store with `count` events in the stream "a" and a snapshot of all of them. */
async function withSnapshot(count: number): Promise<string> {
  const store = await openStore<Bank>(directory);
  await deposit(store, "a", count);
  await store.aggregateStream("a", kept);
  await store.close();
  const [file] = snapshotFiles();
  assert.ok(file?.endsWith(".checkpoint"));
  seen.length = 0;
  return file as string;
}

test("a stream is folded in order up to its end, or to a version, and an absent one is its initial state", async () => {
  const store = await openStore<Bank>(directory);
  await deposit(store, "a", 4);
  assert.equal(await store.aggregateStream("a", account), {
    state: { cents: 4, versions: [1, 2, 3, 4] },
    version: 4,
    snapshotVersion: 0,
  });
  assert.equal((await store.aggregateStream("a", account, { to: 2 })).state.versions, [1, 2]);
  assert.is((await store.aggregateStream("a", account, { to: 2 })).version, 2);
  assert.equal((await store.aggregateStream("a", account, { to: 0 })).state.versions, []);
  assert.is((await store.aggregateStream("a", account, { to: 9 })).version, 4);
  assert.equal(await store.aggregateStream("never", account), {
    state: { cents: 0, versions: [] },
    version: 0,
    snapshotVersion: 0,
  });
  const reader = await openReader<Bank>(directory);
  assert.is((await reader.aggregateStream("a", account)).state.cents, 4);
  await reader.close();
  await store.close();
});

test("an expected version is judged before anything is folded", async () => {
  const store = await openStore<Bank>(directory);
  await deposit(store, "a", 2);
  for (const expectedVersion of [2, "exists", "any"] as const) {
    assert.is((await store.aggregateStream("a", account, { expectedVersion })).version, 2);
  }
  seen.length = 0;
  for (const expectedVersion of [1, 3, "absent"] as const) {
    const conflict = await rejects(
      store.aggregateStream("a", account, { expectedVersion }),
      "ERR_EVENTS_VERSION_CONFLICT",
    );
    assert.is((conflict as StoreError).details["actual"], 2);
  }
  await rejects(store.aggregateStream("b", account, { expectedVersion: "exists" }), "ERR_EVENTS_VERSION_CONFLICT");
  await store.deleteStream("a");
  assert.is((await store.aggregateStream("a", account, { expectedVersion: "absent" })).version, 2);
  assert.equal(seen, []);
  await store.close();
});

test("a fold begins at the snapshot and is shown only later events", async () => {
  await withSnapshot(7);
  const store = await openStore<Bank>(directory);
  assert.is((await store.aggregateStream("a", kept)).snapshotVersion, 7);
  assert.equal(seen, []);
  await deposit(store, "a", 2);
  const result = await store.aggregateStream("a", kept);
  assert.equal(result, { state: { cents: 9, versions: upTo(9) }, version: 9, snapshotVersion: 7 });
  assert.equal(seen, [8, 9]);
  seen.length = 0;
  const reader = await openReader<Bank>(directory);
  assert.is((await reader.aggregateStream("a", kept)).snapshotVersion, 7);
  assert.equal(seen, [8, 9]);
  assert.is((await reader.aggregateStream("a", kept, { to: 6 })).state.cents, 6);
  await reader.close();
  await store.close();
});

test("a snapshot is written every so many events, and not by a fold to an earlier version", async () => {
  const store = await openStore<Bank>(directory);
  await deposit(store, "a", 4);
  await store.aggregateStream("a", kept);
  await deposit(store, "a", 4);
  await store.aggregateStream("a", kept, { to: 7 });
  await store.close();
  assert.equal(snapshotFiles(), []);
  assert.is((await foldAndClose()).snapshotVersion, 0);
  assert.is(snapshotFiles().length, 1);
  const again = await openStore<Bank>(directory);
  await deposit(again, "a", 4);
  await again.close();
  for (let round = 0; round < 2; round++) assert.is((await foldAndClose()).snapshotVersion, 8);
});

test("a stream whose name is a path has its snapshot among the others'", async () => {
  const names = ["../../../escaped", "/escaped", "..", "escaped\u0000"];
  const store = await openStore<Bank>(directory);
  for (const name of names) {
    await deposit(store, name, 5);
    await store.aggregateStream(name, kept);
  }
  await store.close();
  assert.is(snapshotFiles().length, names.length);
  const base = join(directory, "..");
  assert.equal(
    readdirSync(base, { recursive: true, encoding: "utf8" }).filter((path) => path.includes("escaped")),
    [],
  );
  assert.equal(readdirSync(base), ["store"]);
});

test("a reader writes no snapshot", async () => {
  const store = await openStore<Bank>(directory);
  await deposit(store, "a", 8);
  await store.close();
  const reader = await openReader<Bank>(directory);
  assert.is((await reader.aggregateStream("a", kept)).version, 8);
  await reader.close();
  assert.equal(snapshotFiles(), []);
});

test("a snapshot that is damaged anywhere is folded anew, and replaced", async () => {
  const file = await withSnapshot(6);
  const whole = readFileSync(file);
  for (let offset = 0; offset < whole.length; offset += 37) {
    const damaged = Buffer.from(whole);
    damaged[offset] = (damaged[offset] as number) ^ 0x20;
    writeFileSync(file, damaged);
    const result = await foldAndClose();
    assert.equal([result.state, result.snapshotVersion], [{ cents: 6, versions: upTo(6) }, 0], `offset ${offset}`);
    assert.is((await foldAndClose()).snapshotVersion, 6);
  }
  writeFileSync(file, whole.subarray(0, 40));
  assert.is((await foldAndClose()).snapshotVersion, 0);
});

test("a snapshot of another version, store or stream is not used", async () => {
  const file = await withSnapshot(6);
  const store = await openStore<Bank>(directory);
  await deposit(store, "b", 6);
  const newer = { ...kept, snapshot: { name: "account", version: 2, every: 100 } };
  assert.is((await store.aggregateStream("a", newer)).snapshotVersion, 0);
  await store.aggregateStream("b", kept);
  await store.close();
  const other = snapshotFiles().find((name) => name !== file) as string;
  writeFileSync(file, readFileSync(other));
  assert.is((await foldAndClose()).snapshotVersion, 0);

  const bytes = readFileSync(file);
  directory = join(temporaryDirectory(), "other");
  const place = await withSnapshot(6);
  writeFileSync(place, bytes);
  assert.is((await foldAndClose()).snapshotVersion, 0);
});

test("a snapshot that lies ahead of the log, or of a log that went on differently, is not used", async () => {
  await withSnapshot(6);
  const short = join(temporaryDirectory(), "short");
  const store = await openStore<Bank>(directory);
  await store.backup(`${short}-backup`);
  await deposit(store, "a", 6);
  await store.aggregateStream("a", kept);
  await store.close();
  const [file] = snapshotFiles();
  const bytes = readFileSync(file as string);
  // A copy of the store as it was, with what was derived later.
  const copy = await openStore<Bank>(`${short}-backup`);
  const snapshotPlace = (file as string).replace(directory, `${short}-backup`);
  mkdirSync(dirname(snapshotPlace), { recursive: true });
  writeFileSync(snapshotPlace, bytes);
  assert.is((await copy.aggregateStream("a", kept)).snapshotVersion, 0);
  await deposit(copy, "other", 1);
  await deposit(copy, "a", 7);
  await copy.close();
  writeFileSync(snapshotPlace, bytes);
  const again = await openStore<Bank>(`${short}-backup`);
  const result = await again.aggregateStream("a", kept);
  await again.close();
  // The stream has a version 12 again, but it is another event: at another LSN.
  assert.equal([result.state.versions, result.snapshotVersion], [upTo(13), 0]);
});

test("a snapshot is not used when the stream has lost events since, or shows some again", async () => {
  const store = await openStore<Bank>(directory);
  const fold = async (): Promise<readonly [number, number[]]> => {
    const first = await store.aggregateStream("a", kept);
    // The second fold finds what the first one has kept.
    for (let turn = 0; turn < 200; turn++) {
      if ((await store.aggregateStream("a", kept)).snapshotVersion === first.version) break;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return [first.snapshotVersion, first.state.versions];
  };
  await deposit(store, "a", 12);
  assert.equal(await fold(), [0, upTo(12)]);
  assert.equal(await fold(), [12, upTo(12)]);
  await store.truncateStream("a", { before: 3 });
  assert.equal(await fold(), [0, upTo(12, 3)]);
  assert.equal(await fold(), [12, upTo(12, 3)]);
  await store.retainStream("a", { maxCount: 5 });
  assert.equal(await fold(), [0, upTo(12, 8)]);
  await store.retainStream("a", {});
  assert.equal(await fold(), [0, upTo(12, 3)]);
  await deposit(store, "a", 1);
  assert.equal(await store.aggregateStream("a", kept).then((r) => r.snapshotVersion), 12);
  await store.deleteStream("a");
  assert.equal(await store.aggregateStream("a", kept), {
    state: { cents: 0, versions: [] },
    version: 13,
    snapshotVersion: 0,
  });
  await deposit(store, "a", 5);
  assert.equal(await fold(), [0, upTo(18, 14)]);
  await store.deleteStreams("a");
  assert.equal(await store.aggregateStream("a", kept).then((r) => r.state.versions), []);
  await deposit(store, "a", 6);
  assert.equal(await fold(), [0, upTo(24, 19)]);
  await store.checkpoint();
  const horizon = store.watermark;
  await deposit(store, "a", 6);
  await store.truncateBefore(horizon + 1, { archive: "none" });
  assert.equal(await fold(), [0, upTo(30, 25)]);
  await store.tombstoneStream("a");
  await rejects(store.aggregateStream("a", kept), "ERR_STREAM_TOMBSTONED");
  await store.close();
});

test("whoever is forgotten is in no snapshot any more, on disk neither", async () => {
  const encryption = { key: keyOf(1), subjectKeys: join(temporaryDirectory(), "subjects") };
  let store = await openStore<Bank>(directory, { encryption });
  await deposit(store, "a", 3);
  await deposit(store, "a", 3, "ann");
  await deposit(store, "b", 6, "bob");
  for (const stream of ["a", "b"]) await store.aggregateStream(stream, kept);
  await store.close();
  assert.is(snapshotFiles().length, 2);
  store = await openStore<Bank>(directory, { encryption });
  writeFileSync(`${snapshotFiles()[0]}.0011.tmp`, "what a crash left");
  await store.forget("ann");
  assert.is(snapshotFiles().length, 1);
  seen.length = 0;
  const result = await store.aggregateStream("a", kept);
  assert.equal([result.state, result.version, result.snapshotVersion], [{ cents: 3, versions: [1, 2, 3] }, 6, 0]);
  assert.is((await store.aggregateStream("b", kept)).snapshotVersion, 6);
  await store.close();

  // One that was put back is removed by who meets it, and what is kept then has nothing of him.
  const before = new Map(snapshotFiles().map((file) => [file, readFileSync(file)]));
  store = await openStore<Bank>(directory, { encryption });
  await store.forget("bob");
  const bobs = [...before.keys()].filter((file) => !existsSync(file));
  assert.is(bobs.length, 1);
  for (const file of bobs) writeFileSync(file, before.get(file) as Buffer);
  assert.equal(
    (await store.aggregateStream("b", { ...kept, snapshot: { ...kept.snapshot, every: 99 } } as never)).version,
    6,
  );
  await store.close();
  assert.not.ok(existsSync(bobs[0] as string));
});

test("a snapshot of an encrypted store is encrypted", async () => {
  const options = { encryption: { key: keyOf(1) } };
  const named: Aggregate<{ name: string }, RecordedEvent> = {
    initial: () => ({ name: "" }),
    evolve: (_, event) => event.data as { name: string },
    snapshot: { name: "account", version: 1, every: 1 },
  };
  const store = await openStore(directory, options);
  await store.append("a", { type: "T", data: { name: "in-plain-sight" } });
  await store.aggregateStream("a", named);
  await store.close();
  const [file] = snapshotFiles();
  assert.not.ok(readFileSync(file as string).includes("in-plain-sight"));
  const again = await openStore(directory, options);
  assert.equal(await again.aggregateStream("a", named), {
    state: { name: "in-plain-sight" },
    version: 1,
    snapshotVersion: 1,
  });
  await again.close();
});

test("rekeying encrypts snapshots anew, and removes one that cannot be read", async () => {
  await withSnapshot(6);
  let store = await openStore<Bank>(directory);
  await deposit(store, "b", 6);
  await store.aggregateStream("b", kept);
  await store.close();
  const [first, second] = snapshotFiles() as [string, string];
  writeFileSync(`${first}.00.tmp`, "half");
  const damaged = readFileSync(second);
  damaged[damaged.length - 1] = (damaged.at(-1) as number) ^ 1;
  writeFileSync(second, damaged);
  const encryption = { key: keyOf(2) };
  const report = await rekeyStore(directory, { encryption });
  assert.equal([report.reencryptedCheckpoints, report.removedCheckpoints], [1, 1]);
  assert.equal(snapshotFiles(), [first]);
  store = await openStore<Bank>(directory, { encryption });
  const used = [];
  for (const stream of ["a", "b"]) used.push((await store.aggregateStream(stream, kept)).snapshotVersion);
  assert.equal(used.sort(), [0, 6]);
  await store.close();
});

test("a snapshot that cannot be written or encoded is told of, and the fold answers all the same", async () => {
  const store = await openStore<Bank>(directory);
  await deposit(store, "a", 6);
  mkdirSync(join(directory, "projections", "account"), { recursive: true });
  writeFileSync(folder(), "no directory");
  const errors: StoreError[] = [];
  const onError = (error: StoreError): void => void errors.push(error);
  const told = { ...kept, snapshot: { name: "account", version: 1, every: 1, onError } };
  assert.is((await store.aggregateStream("a", told)).state.cents, 6);
  const clock: Aggregate<Date, RecordedEvent<Bank>> = {
    initial: () => new Date(0),
    evolve: (state) => state,
    snapshot: { name: "clock", version: 1, every: 1, onError },
  };
  assert.is((await store.aggregateStream("a", clock)).version, 6);
  await store.close();
  assert.equal(errors.map(({ code }) => code).sort(), ["ERR_PROJECTION_CHECKPOINT", "ERR_PROJECTION_CHECKPOINT"]);
  assert.ok(errors.some(({ message }) => /the state is a Date/.test(message)));
  assert.ok(errors.some(({ message }) => /of stream a could not be written/.test(message)));
  rmSync(folder());
  assert.is((await foldAndClose()).snapshotVersion, 0);
  assert.is((await foldAndClose()).snapshotVersion, 6);
});

test("a codec of one's own is used, and one that cannot read its bytes is done without", async () => {
  const codec = {
    encode: (state: Account) => Buffer.from(state.versions.join(",")),
    decode: (bytes: Uint8Array): Account => {
      const versions = Buffer.from(bytes).toString().split(",").map(Number);
      return { cents: versions.length, versions };
    },
  };
  const own = { ...kept, snapshot: { name: "account", version: 1, every: 5, ...codec } };
  const store = await openStore<Bank>(directory);
  await deposit(store, "a", 6);
  await store.aggregateStream("a", own);
  await store.close();
  const again = await openStore<Bank>(directory);
  const resumed = await again.aggregateStream("a", own);
  assert.equal([resumed.state, resumed.snapshotVersion], [{ cents: 6, versions: upTo(6) }, 6]);
  const broken = {
    ...own,
    snapshot: {
      ...own.snapshot,
      decode: () => {
        throw new Error("no");
      },
    },
  };
  assert.is((await again.aggregateStream("a", broken)).snapshotVersion, 0);
  await again.close();
});

test("more snapshots at once than may be written are left for later, and two stores write one stream's", async () => {
  const stores = [await openStore<Bank>(directory), await openStore<Bank>(directory)] as const;
  const streams = upTo(SNAPSHOT_WRITES_MAX + 8).map((index) => `s${index}`);
  for (const stream of streams) await deposit(stores[0], stream, 5);
  const folds = streams.flatMap((stream) => stores.map((store) => store.aggregateStream(stream, kept)));
  assert.ok((await Promise.all(folds)).every(({ state }) => state.cents === 5));
  for (const store of stores) await store.close();
  const files = snapshotFiles();
  assert.ok(files.every((file) => file.endsWith(".checkpoint")));
  assert.ok(files.length > 0);
  const store = await openStore<Bank>(directory);
  for (const stream of streams) assert.is((await store.aggregateStream(stream, kept)).state.cents, 5);
  await store.close();
});

test("what a crash left half written is removed, and never read; what somebody is writing is left", async () => {
  const file = await withSnapshot(6);
  const [left, written] = [`${file}.00.tmp`, `${file}.11.tmp`];
  for (const path of [left, written]) writeFileSync(path, "half");
  const lock = FileLock.tryTake(written);
  const store = await openStore<Bank>(directory);
  await deposit(store, "a", 5);
  assert.is((await store.aggregateStream("a", kept)).state.cents, 11);
  await store.close();
  assert.equal([existsSync(left), existsSync(written)], [false, true]);
  lock?.release();
});

test("what evolve throws is the caller's, and what is no state is refused", async () => {
  const store = await openStore<Bank>(directory);
  await deposit(store, "a", 1);
  const own = new Error("mine");
  const evolving = (evolve: unknown): Promise<unknown> => store.aggregateStream("a", { ...account, evolve } as never);
  await rejects(
    evolving(() => {
      throw own;
    }),
    (error) => error === own,
  );
  await rejects(
    evolving(() => undefined),
    (error) => /evolve returned undefined/.test(error.message),
  );
  await rejects(
    evolving(async () => Promise.reject(own)),
    (error) => /evolve returned a promise/.test(error.message),
  );
  await store.close();
  await rejects(store.aggregateStream("a", account), "ERR_STORE_CLOSED");
});

test("an abort ends the fold with its reason", async () => {
  const store = await openStore<Bank>(directory);
  await deposit(store, "a", 3);
  const stop = new AbortController();
  const stopping: typeof account = {
    ...account,
    evolve: (state) => {
      stop.abort(new Error("enough"));
      return state;
    },
  };
  await rejects(store.aggregateStream("a", stopping, { signal: stop.signal }), (error) => error.message === "enough");
  await store.close();
});

test("wrong definitions and options are named", async () => {
  const store = await openStore<Bank>(directory);
  const fold = (change: object, options?: object): Promise<unknown> =>
    store.aggregateStream("a", { ...account, ...change } as never, options as never);
  const snapshot = { name: "account", version: 1, every: 5 };
  const misuse: readonly (readonly [() => Promise<unknown>, RegExp])[] = [
    [() => store.aggregateStream("a", null as never), /an aggregate must be an object/],
    [() => fold({ initial: {} }), /aggregate\.initial/],
    [() => fold({ evolve: null }), /aggregate\.evolve/],
    [() => fold({ snapshot: { ...snapshot, name: "../x" } }), /snapshot\.name/],
    [() => fold({ snapshot: { ...snapshot, version: 0 } }), /snapshot\.version/],
    [() => fold({ snapshot: { ...snapshot, every: 1.5 } }), /snapshot\.every/],
    [() => fold({ snapshot: { ...snapshot, encode: () => new Uint8Array(0) } }), /snapshot\.decode/],
    [() => fold({ snapshot: { ...snapshot, onError: 1 } }), /snapshot\.onError/],
    [() => fold({ snapshot: { ...snapshot, evry: 1 } }), /unknown option "evry"/],
    [() => fold({}, { to: -1 }), /option to/],
    [() => fold({}, { upTo: 1 }), /unknown option "upTo"/],
    [() => fold({}, { expectedVersion: -1 }), /expectedVersion/],
    [() => fold({}, { signal: 1 }), /option signal/],
    [() => store.aggregateStream(7 as never, account), /stream name must be a string/],
  ];
  await deposit(store, "a", 1);
  for (const [work, message] of misuse) {
    await rejects(
      work,
      (error) => (error instanceof TypeError || error instanceof RangeError) && message.test(error.message),
    );
  }
  await rejects(store.aggregateStream("", account), "ERR_EVENTS_INVALID_STREAM");
  await store.close();
});
