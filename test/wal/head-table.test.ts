/** The shared table of stream heads: names and versions, growth, and what the death of a writer at any instruction leaves. */

import { closeSync, existsSync, openSync, readdirSync, rmSync, statfsSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { isStoreError } from "../../src/errors.js";
import { MappedFile } from "../../src/ffi/mapped-file.js";
import { hashName } from "../../src/wal/head-level.js";
import { HeadTable, type SettleDecision } from "../../src/wal/head-table.js";
import { assert, rejects } from "../support/assert.js";
import { type LoopDisk, loopDiskProblem, makeLoopDisk } from "../support/loop-disk.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { headEntries } from "./support/head-entries.js";
import {
  EPOCHS_PER_VERSION,
  type HeadWriter,
  OWN_NAMES,
  SHARED_NAMES,
  sharedName,
  startProcess,
  startThread,
  TURNS,
} from "./support/head-work.js";

const LEVEL_0_NAMES = 12_288;
const LEVEL_0_ENTRIES_OFFSET = 4096 + 16_384 * 8;
const ENTRY_BYTES = 64;
const INSERT_LOCK_OFFSET = 64;
const ENTRIES_USED_OFFSET = 192;
const ARENA_USED_OFFSET = 196;

const test = suite("wal/head-table");

const me = { slot: 0, generation: 1 };
const peer = { slot: 1, generation: 5 };
const tables: HeadTable[] = [];
const disks: LoopDisk[] = [];
let directory = "";
let table: HeadTable;

test.beforeEach(() => {
  directory = temporaryDirectory();
  table = keep(HeadTable.create(directory, me));
});
test.afterEach(() => {
  for (const open of tables.splice(0)) open.close();
  for (const disk of disks.splice(0)) disk.remove();
});

function keep(opened: HeadTable): HeadTable {
  tables.push(opened);
  return opened;
}

function attach(owner = peer): HeadTable {
  return keep(HeadTable.attach(directory, owner));
}

function insert(name: string, version = 0, into = table): number {
  const entry = into.insert(Buffer.from(name), version);
  assert.ok(entry >= 0, `${name} is inserted`);
  return entry;
}

function locked<Result>(entry: number, work: (by: HeadTable) => Result, by = table): Result {
  assert.ok(by.tryLock(entry));
  const result = work(by);
  by.unlock(entry);
  return result;
}

/** What an entry tells who looks at it. */
function headOf(entry: number, by = table) {
  return locked(
    entry,
    (of) => ({
      committed: of.committedVersion(entry),
      tentative: of.tentativeVersion(entry),
      slot: of.tentativeSlot(entry),
      epoch: of.tentativeEpoch(entry),
      wanted: of.wantedBy(entry),
    }),
    by,
  );
}

const noTentative = { tentative: 0, slot: -1, epoch: 0, wanted: -1 };
const keepsCommitted: SettleDecision = (_, committed) => committed;

/** Stores as a writer that is killed before it gets further. */
function store(level: number, change: (file: MappedFile) => void): void {
  const file = MappedFile.open(join(directory, `heads-${level}`));
  change(file);
  file.close();
}

/** The words of an entry of level 0. */
function storeEntry(entry: number, change: (words: Int32Array, doubles: Float64Array) => void): void {
  store(0, (file) => {
    const offset = LEVEL_0_ENTRIES_OFFSET + entry * ENTRY_BYTES;
    change(file.int32.subarray(offset / 4, offset / 4 + 16), file.float64.subarray(offset / 8, offset / 8 + 8));
  });
}

test("a name has one entry, and the first version stays", () => {
  assert.is(table.find(Buffer.from("a")), -1);
  const a = insert("a", 7);
  assert.is(table.find(Buffer.from("a")), a);
  assert.is(insert("a", 9), a);
  assert.equal(headOf(a), { committed: 7, ...noTentative });
  const peerTable = attach();
  assert.is(peerTable.find(Buffer.from("a")), a);
  assert.is(insert("b", 1, peerTable), table.find(Buffer.from("b")));
});

test("names are compared whole: prefixes, the longest, and those with the same hash have heads of their own", () => {
  const names = new Set(["x", "xx", "x\0", "é", "e\u0301", "n".repeat(1024), "n".repeat(1023), `${"n".repeat(1023)}m`]);
  const sameHash = ["name-69228", "name-883176"] as const;
  assert.is(hashName(Buffer.from(sameHash[0])), hashName(Buffer.from(sameHash[1])));
  for (const name of sameHash) names.add(name);
  const entries = [...names].map((name, version) => insert(name, version));
  assert.is(new Set(entries).size, names.size);
  assert.equal(
    entries.map((entry) => headOf(entry).committed),
    [...names.keys()].map((_, version) => version),
  );
  for (const wrong of ["", "n".repeat(1025)]) {
    assert.throws(() => table.insert(Buffer.from(wrong), 0), /1 to 1,024 bytes/);
  }
});

test("a tentative version is its writer's, follows its batches up and down, and ends with the commit", () => {
  const entry = insert("a", 2 ** 40);
  const peerTable = attach();
  for (const [version, epoch] of [
    [2 ** 40 + 1, 11],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER - 1],
    [2 ** 40 + 2, 12],
  ] as const) {
    locked(entry, () => peerTable.setTentative(entry, version, epoch), peerTable);
    assert.equal(headOf(entry), { committed: 2 ** 40, tentative: version, slot: peer.slot, epoch, wanted: -1 });
    assert.is(
      locked(entry, () => table.tentativeGeneration(entry)),
      peer.generation,
    );
  }
  locked(entry, () => peerTable.raiseCommitted(entry, 2 ** 40 + 1), peerTable);
  locked(entry, () => peerTable.raiseCommitted(entry, 3), peerTable);
  locked(entry, () => table.setWanted(entry, me.slot));
  assert.equal(headOf(entry, peerTable), {
    committed: 2 ** 40 + 1,
    tentative: 2 ** 40 + 2,
    slot: 1,
    epoch: 12,
    wanted: 0,
  });
  locked(entry, () => assert.throws(() => table.setTentative(entry, 5, 5), /another writer/));
  locked(entry, () => table.setCommitted(entry, 2 ** 40 + 2));
  assert.equal(headOf(entry), { committed: 2 ** 40 + 2, ...noTentative, wanted: 0 });
  locked(entry, () => table.setWanted(entry, -1));
  assert.is(headOf(entry).wanted, -1);
  locked(entry, () => table.setTentative(entry, 5, 6));
  assert.is(
    locked(entry, () => table.tentativeGeneration(entry)),
    me.generation,
  );
});

test("who has a lock keeps it, and taking it again is a bug", () => {
  const a = insert("a");
  const b = insert("b");
  const peerTable = attach();
  assert.ok(table.tryLock(a));
  assert.not(peerTable.tryLock(a));
  assert.ok(peerTable.tryLock(b));
  assert.throws(() => table.tryLock(a), /by who has it/);
  table.unlock(a);
  assert.ok(peerTable.tryLock(a));
});

test("while somebody inserts another is told to come back, and lookups go on", () => {
  const a = insert("a");
  const peerTable = attach();
  store(0, ({ int32 }) => (int32[INSERT_LOCK_OFFSET / 4] = peer.slot + 1));
  assert.is(table.insert(Buffer.from("b"), 0), -1);
  assert.is(table.insert(Buffer.from("a"), 0), a);
  assert.is(peerTable.find(Buffer.from("b")), -1);
});

test("the table grows by levels, entries keep their numbers, and others map new levels when they need them", () => {
  const peerTable = attach();
  const entries = Array.from({ length: 50_000 }, (_, index) => insert(`stream-${index}`, index));
  assert.is(new Set(entries).size, entries.length);
  assert.equal(readdirSync(directory).sort(), ["heads-0", "heads-1", "heads-2"]);
  assert.is(insert("stream-49999", 0, peerTable), entries[49_999]);
  for (const [index, entry] of entries.entries()) {
    const name = Buffer.from(`stream-${index}`);
    if (table.find(name) !== entry || peerTable.find(name) !== entry) throw new Error(`${name} is elsewhere`);
  }
  assert.is(headOf(entries[0] as number, peerTable).committed, 0);
  assert.is(headOf(entries[49_998] as number, peerTable).committed, 49_998);
  // Somebody who has not met the new levels yet inserts into the newest one.
  const late = attach({ slot: 2, generation: 1 });
  const entry = insert("late", 3, late);
  assert.is(table.find(Buffer.from("late")), entry);
  assert.ok(entry >= 16_384 * 3);
});

test("long names fill a level before its entries are used", () => {
  for (let index = 0; index < 1100; index++) insert(`${index}`.padEnd(1000, "x"), index);
  assert.ok(existsSync(join(directory, "heads-1")));
  for (let index = 0; index < 1100; index++) {
    assert.is(headOf(table.find(Buffer.from(`${index}`.padEnd(1000, "x")))).committed, index);
  }
});

test("the first opener finds nothing of the table before", () => {
  for (let index = 0; index <= LEVEL_0_NAMES; index++) insert(`stream-${index}`);
  writeFileSync(join(directory, "heads-up"), "");
  const next = keep(HeadTable.create(directory, me));
  assert.equal(readdirSync(directory).sort(), ["heads-0", "heads-up"]);
  assert.is(next.find(Buffer.from("stream-0")), -1);
});

test("a level that its maker did not live to publish is made again", () => {
  writeFileSync(join(directory, "heads-1"), "half a level");
  const peerTable = attach();
  for (let index = 0; index <= LEVEL_0_NAMES; index++) insert(`stream-${index}`, index);
  const entry = peerTable.find(Buffer.from(`stream-${LEVEL_0_NAMES}`));
  assert.ok(entry >= 16_384);
  assert.is(headOf(entry, peerTable).committed, LEVEL_0_NAMES);
});

for (const [what, offset] of [
  ["magic", 0],
  ["version", 8],
  ["layout", 20],
] as const) {
  test(`a level with another ${what} is refused`, async () => {
    for (let index = 0; index <= LEVEL_0_NAMES; index++) insert(`stream-${index}`);
    store(1, ({ bytes }) => (bytes[offset] = 99));
    const peerTable = attach();
    await rejects(() => peerTable.find(Buffer.from("nowhere")), "ERR_WAL_VERSION");
    store(0, ({ bytes }) => (bytes[offset] = 99));
    await rejects(() => attach(), "ERR_WAL_VERSION");
  });
}

const FULL = "a full disk refuses a name that needs another level, and takes it when there is space";
const problem = loopDiskProblem();
if (problem !== null) {
  test.skip(FULL, problem);
} else {
  test(FULL, () => {
    const disk = makeLoopDisk(16);
    disks.push(disk);
    const full = HeadTable.create(disk.directory, me);
    try {
      const filler = join(disk.directory, "filler");
      fillAllBut(disk.directory, filler, 2 * 1024 * 1024);
      for (let index = 0; index < LEVEL_0_NAMES; index++) full.insert(Buffer.from(`stream-${index}`), index);
      for (let attempt = 0; attempt < 2; attempt++) {
        const refused = thrownBy(() => full.insert(Buffer.from("one more"), 0));
        assert.ok(isStoreError(refused, "ERR_WAL_FULL"), String(refused));
      }
      assert.equal(
        readdirSync(disk.directory).filter((name) => name.startsWith("heads")),
        ["heads-0"],
      );
      const known = full.insert(Buffer.from("stream-1"), 0);
      assert.ok(full.tryLock(known));
      assert.is(full.committedVersion(known), 1);
      rmSync(filler);
      assert.ok(full.insert(Buffer.from("one more"), 0) >= 16_384);
    } finally {
      full.close();
    }
  });
}

function fillAllBut(of: string, path: string, keptBytes: number): void {
  const fd = openSync(path, "w");
  const piece = Buffer.alloc(64 * 1024, 1);
  for (let state = statfsSync(of); state.bavail * state.bsize > keptBytes + piece.length; state = statfsSync(of))
    writeSync(fd, piece);
  closeSync(fd);
}

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return null;
}

test("settling decides each tentative of the dead writer, and no other's", () => {
  const dead = attach();
  const other = attach({ slot: 2, generation: 1 });
  const names = ["kept", "lost", "locked", "other", "wanted", "free"];
  const [kept, lost, stuck, foreign, wanted, free] = names.map((name) => insert(name, 10)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  for (const entry of [kept, lost, stuck]) locked(entry, () => dead.setTentative(entry, 12, 34), dead);
  for (const entry of [foreign, wanted]) locked(entry, () => other.setTentative(entry, 11, 2), other);
  for (const entry of [wanted, lost]) locked(entry, () => dead.setWanted(entry, peer.slot), dead);
  locked(kept, () => table.setWanted(kept, me.slot));
  for (const entry of [stuck, foreign, free]) assert.ok(dead.tryLock(entry));

  const asked: unknown[] = [];
  const held = table.settle(peer, (name, ...facts) => {
    asked.push([name.toString(), ...facts]);
    const entry = table.find(name);
    assert.not(other.tryLock(entry), "it is locked meanwhile");
    return name.toString() === "lost" ? 10 : 11;
  });
  assert.equal(held, []);
  assert.equal(new Set(asked.map(String)), new Set(["kept,10,12,34", "lost,10,12,34", "locked,10,12,34"]));
  assert.equal(headOf(kept), { committed: 11, ...noTentative, wanted: me.slot });
  assert.equal(headOf(lost), { committed: 10, ...noTentative });
  assert.equal(headOf(stuck), { committed: 11, ...noTentative });
  for (const entry of [foreign, wanted])
    assert.equal(headOf(entry), { committed: 10, tentative: 11, slot: 2, epoch: 2, wanted: -1 });
  assert.equal(headOf(free), { committed: 10, ...noTentative });
  assert.equal(
    table.settle(peer, () => assert.unreachable("nothing is left to decide") as never),
    [],
  );
});

test("what was kept and is not visible yet stays tentative, in the batch that has it, until it is asked for again", () => {
  const dead = attach();
  const [kept, lost] = ["kept", "lost"].map((name) => insert(name, 10)) as [number, number];
  locked(kept, () => dead.setTentative(kept, 11, 1), dead);
  locked(lost, () => dead.setTentative(lost, 12, 2), dead);
  const still = { version: 11, epoch: 1 };
  table.settle(peer, () => still);
  for (const entry of [kept, lost])
    assert.equal(headOf(entry), { committed: 10, tentative: 11, slot: peer.slot, epoch: 1, wanted: -1 });
  assert.throws(() => table.settle(peer, () => ({ version: 9, epoch: 1 })), /never falls/);
  table.settle(peer, (_, __, tentativeVersion) => tentativeVersion);
  for (const entry of [kept, lost]) assert.equal(headOf(entry), { committed: 11, ...noTentative });
});

test("a tentative version of another generation of the slot is not settled", () => {
  const dead = attach({ ...peer, generation: peer.generation + 1 });
  const entry = insert("a", 10);
  locked(entry, () => dead.setTentative(entry, 11, 1), dead);
  table.settle(peer, () => assert.unreachable("not of this generation") as never);
  assert.is(headOf(entry).tentative, 11);
});

test("an entry that another writer holds is named, and settled by the next call", () => {
  const dead = attach();
  const other = attach({ slot: 7, generation: 1 });
  const [held, free] = ["held", "free"].map((name) => insert(name, 10)) as [number, number];
  for (const entry of [held, free]) locked(entry, () => dead.setTentative(entry, 11, 1), dead);
  assert.ok(other.tryLock(held));
  assert.equal(table.settle(peer, keepsCommitted), [7]);
  assert.equal(headOf(free), { committed: 10, ...noTentative });
  other.unlock(held);
  assert.equal(table.settle(peer, keepsCommitted), []);
  assert.equal(headOf(held), { committed: 10, ...noTentative });
});

test("a decision that throws leaves the entry to the next call", () => {
  const dead = attach();
  const entry = insert("a", 10);
  locked(entry, () => dead.setTentative(entry, 11, 1), dead);
  assert.throws(
    () =>
      table.settle(peer, () => {
        throw new Error("cannot read");
      }),
    /cannot read/,
  );
  assert.is(headOf(entry).tentative, 11);
  assert.throws(() => table.settle(peer, () => 9), /never falls/);
  table.settle(peer, () => 11);
  assert.equal(headOf(entry), { committed: 11, ...noTentative });
});

test("a survivor that dies while it settles leaves nothing that the next one cannot settle", () => {
  const dead = attach();
  const entry = insert("a", 10);
  locked(entry, () => dead.setTentative(entry, 12, 1), dead);
  // It has broken the lock and stored its decision, and no more.
  storeEntry(entry, (words, doubles) => {
    words[0] = 3 + 1;
    doubles[2] = 11;
  });
  assert.equal(table.settle(peer, keepsCommitted), [3]);
  assert.equal(table.settle({ slot: 3, generation: 1 }, keepsCommitted), []);
  assert.equal(table.settle(peer, keepsCommitted), []);
  assert.equal(headOf(entry), { committed: 11, ...noTentative });
});

test("death on the way to a first tentative version leaves none", () => {
  const entry = insert("a", 10);
  storeEntry(entry, (words, doubles) => {
    words[0] = peer.slot + 1;
    words[15] = peer.generation;
    doubles[3] = 11;
    doubles[4] = 1;
  });
  table.settle(peer, () => assert.unreachable("nothing was tentative") as never);
  assert.equal(headOf(entry), { committed: 10, ...noTentative });
});

for (const before of [1, 2]) {
  test(`death on the way to tentative version ${before + 1} leaves version ${before} whole`, () => {
    const dead = attach();
    const entry = insert("a");
    for (let version = 1; version <= before; version++)
      locked(entry, () => dead.setTentative(entry, version, version * 10), dead);
    assert.ok(dead.tryLock(entry));
    // The record that is not in use is half written: A is in use first, then B.
    storeEntry(entry, (_, doubles) => (doubles[before === 1 ? 5 : 3] = before + 1));
    const asked: unknown[] = [];
    table.settle(peer, (_, ...facts) => asked.push(...facts));
    assert.equal(asked, [0, before, before * 10]);
  });
}

for (const [when, entriesUsed, arenaUsed] of [
  ["while its entry was written", 0, 0],
  ["before its name's space was taken", 1, 0],
  ["before its name could be found", 1, 4],
] as const) {
  test(`death in the middle of an insert, ${when}, leaves nothing that anybody finds or settles`, () => {
    storeEntry(0, (words, doubles) => {
      words.fill(entriesUsed === 0 ? 77 : 0);
      doubles[2] = 12;
    });
    store(0, ({ int32 }) => {
      int32[INSERT_LOCK_OFFSET / 4] = peer.slot + 1;
      int32[ENTRIES_USED_OFFSET / 4] = entriesUsed;
      int32[ARENA_USED_OFFSET / 4] = arenaUsed;
    });
    assert.is(table.find(Buffer.from("b")), -1);
    assert.is(table.insert(Buffer.from("b"), 0), -1);
    assert.equal(table.settle({ slot: 2, generation: 1 }, keepsCommitted), []);
    assert.is(table.insert(Buffer.from("b"), 0), -1, "another's insert lock is not broken");
    assert.equal(
      table.settle(peer, () => assert.unreachable("no entry was made") as never),
      [],
    );
    const entry = insert("b", 5);
    assert.is(entry, entriesUsed);
    assert.equal(headOf(entry), { committed: 5, ...noTentative });
  });
}

class Death extends Error {}

/** Does the work and dies right before or right after its atomic store of that number, from 0; false when there are fewer. */
function diesAtStore(when: "before" | "after", store: number, work: () => void): boolean {
  const { store: original } = Atomics;
  let storeCount = 0;
  const dying = (words: Int32Array, index: number, value: number): number => {
    const number = storeCount++;
    if (number < store || (number === store && when === "after")) original(words, index, value);
    if (number >= store) throw new Death();
    return value;
  };
  Reflect.set(Atomics, "store", dying);
  try {
    work();
    return false;
  } catch (error) {
    if (error instanceof Death) return true;
    throw error;
  } finally {
    Reflect.set(Atomics, "store", original);
  }
}

interface DyingWork {
  readonly what: string;
  readonly work: (dead: HeadTable, entry: number) => void;
  /** The committed and the tentative version (0: none) after a death before store 0, 1, … and after it; not told: 10 and 0. */
  readonly before: readonly (readonly [number, number])[];
  readonly after: readonly (readonly [number, number])[];
  readonly firstStore?: number;
}

const DYING_WORK: readonly DyingWork[] = [
  {
    what: "a row of tentative versions",
    work: (dead, entry) => {
      for (let version = 11; version <= 13; version++) dead.setTentative(entry, version, version * EPOCHS_PER_VERSION);
    },
    before: [
      [10, 0],
      [10, 11],
      [10, 12],
    ],
    after: [
      [10, 11],
      [10, 12],
      [10, 13],
    ],
  },
  {
    what: "a commit",
    work: (dead, entry) => {
      dead.setTentative(entry, 11, 11 * EPOCHS_PER_VERSION);
      dead.setCommitted(entry, 11);
    },
    before: [
      [10, 0],
      [11, 11],
    ],
    after: [
      [10, 11],
      [11, 0],
    ],
  },
  { what: "an insert", work: (dead) => dead.insert(Buffer.from("new"), 1), before: [], after: [] },
  {
    what: "an insert that makes a level",
    work: (dead) => {
      for (let index = 0; index < LEVEL_0_NAMES; index++) dead.insert(Buffer.from(`new-${index}`), 1);
    },
    before: [],
    after: [],
    // The inserts before are as any other.
    firstStore: 2 * LEVEL_0_NAMES - 4,
  },
];

for (const { what, work, firstStore = 0, ...expectations } of DYING_WORK) {
  for (const when of ["before", "after"] as const) {
    test(`death right ${when} any atomic store of ${what} leaves all or nothing of it`, () => {
      const expected = expectations[when];
      let storeCount = firstStore;
      for (; ; storeCount++) {
        table = keep(HeadTable.create(directory, me));
        const dead = attach();
        const entry = insert("existing", 10);
        assert.ok(dead.tryLock(entry));
        if (!diesAtStore(when, storeCount, () => work(dead, entry))) break;
        assertSettles(entry, expected[storeCount] ?? [10, 0]);
      }
      assert.ok(storeCount > firstStore && storeCount >= expected.length, `${storeCount} stores`);
    });
  }
}

/** Settling meets these versions; after it the table takes names, and each of them once, whatever came of an insert. */
function assertSettles(entry: number, [committed, tentative]: readonly [number, number]): void {
  const asked: unknown[] = [];
  const held = table.settle(peer, (name, ...facts) => {
    asked.push(name.toString(), ...facts);
    return tentative;
  });
  assert.equal(held, []);
  assert.equal(asked, tentative === 0 ? [] : ["existing", committed, tentative, tentative * EPOCHS_PER_VERSION]);
  assert.equal(headOf(entry), { committed: Math.max(committed, tentative), ...noTentative });
  for (const name of ["new", "next", "new-12287"]) insert(name, 3);
  assertWhole();
}

/** Two processes and two threads at once, each with a slot of its own. */
function startFour(mode: "insert" | "count"): HeadWriter[] {
  return [1, 2, 3, 4].map((slot) => (slot % 2 === 0 ? startThread : startProcess)(mode, directory, slot));
}

async function letGo(writers: readonly HeadWriter[]): Promise<void> {
  for (const writer of writers) assert.is(await writer.line(), "ready");
  writeFileSync(join(directory, "go"), "");
}

function assertWhole(): void {
  const entries = headEntries(directory);
  assert.is(new Set(entries.map(({ name }) => name)).size, entries.length, "each name is there once");
  for (const { entry, name, hash, expectedHash } of entries) {
    if (hash !== expectedHash || table.find(Buffer.from(name)) !== entry) throw new Error(`${name} is not found`);
  }
}

test("processes and threads that insert the same and other names at once agree on every entry", async () => {
  const writers = startFour("insert");
  await letGo(writers);
  const answers = await Promise.all(writers.map((writer) => writer.line()));
  assert.is(new Set(answers).size, 1, "the digests of all are the same");
  await Promise.all(writers.map((writer) => writer.kill()));
  assert.is(headEntries(directory).length, SHARED_NAMES + 4 * OWN_NAMES);
  assertWhole();
  for (let index = 0; index < SHARED_NAMES; index += 100) {
    assert.is(headOf(table.find(Buffer.from(sharedName(index)))).committed, index);
  }
});

test("increments under the entry's lock are exact, whoever does them", async () => {
  const entries = [0, 1, 2].map((index) => insert(sharedName(index)));
  const writers = startFour("count");
  await letGo(writers);
  for (const writer of writers) assert.is(await writer.line(), "done");
  await Promise.all(writers.map((writer) => writer.kill()));
  assert.is(
    entries.reduce((sum, entry) => sum + headOf(entry).committed, 0),
    4 * TURNS,
  );
});

const random = seededRandom();

/** Settles until nobody holds an entry of it any more. */
async function settle(slot: number): Promise<number> {
  let decided = 0;
  for (let held = [-1] as readonly number[]; held.length > 0; ) {
    held = table.settle({ slot, generation: 1 }, (name, committed, tentative, epoch) => {
      decided++;
      assert.is(epoch, tentative * EPOCHS_PER_VERSION, `${name}: a torn record`);
      assert.ok(tentative >= committed, `${name}: ${tentative} after ${committed}`);
      return random.pick([committed, tentative]);
    });
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const mark = slot + 1;
  for (const { name, lock, wanted, tentative } of headEntries(directory)) {
    if (lock === mark || wanted === mark || (tentative & 0xff) === mark) throw new Error(`${name} is not settled`);
  }
  return decided;
}

for (const [what, start, rounds] of [
  ["processes", startProcess, 6],
  ["worker threads", startThread, 10],
] as const) {
  test(`${what} that are killed at any moment leave a whole table, and the others go on`, async () => {
    for (let index = 0; index < 16; index++) insert(sharedName(index));
    let decided = 0;
    for (let round = 0; round < rounds; round++) {
      const [victim, witness] = [start("churn", directory, 1), start("churn", directory, 2)];
      await letGo([victim, witness]);
      await new Promise((resolve) => setTimeout(resolve, random.integer(30)));
      await victim.kill();
      decided += await settle(1);
      await witness.kill();
      decided += await settle(2);
      rmSync(join(directory, "go"));
      assertWhole();
      for (let index = 0; index < 16; index++) {
        const { committed: _, ...rest } = headOf(table.find(Buffer.from(sharedName(index))));
        assert.equal(rest, noTentative);
      }
      insert(`round-${round}`);
    }
    assert.ok(decided > 0, "some were killed with tentative versions");
  });
}
