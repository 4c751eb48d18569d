/** Salvage and repair of encrypted stores: what is intact is read with the keys, and what somebody has changed is named and never taken. */

import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import {
  type EncryptionOptions,
  openReader,
  openStore,
  type RepairReport,
  repairStore,
  type SalvagedEvent,
  type SalvageReport,
  type Store,
  salvageStore,
} from "../../src/index.js";
import { readManifest, writeManifest } from "../../src/wal/manifest.js";
import { decodeTrailer, partsOf } from "../../src/wal/sealed/sealed-trailer.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import {
  appendEach,
  change,
  contentOf,
  filesIn,
  frameOffsets,
  keyOf,
  mendBlock,
  mendFrame,
  mendHeader,
  mendPage,
} from "./support.js";

const test = suite("encryption/damage");
const OPTIONS = { segmentBytes: 64 * 1024, checkpointWalBytes: 0 } as const;
const one = { key: keyOf(1) };
const two = { key: keyOf(2) };
const both = { key: keyOf(2), otherKeys: [keyOf(1)] };
const EVENTS = 6;

let directory = "";
test.beforeEach(() => {
  directory = join(temporaryDirectory(), "store");
});

async function make(
  work: (store: Store) => Promise<unknown>,
  encryption: EncryptionOptions | null = one,
): Promise<void> {
  const store = await openStore(directory, { ...OPTIONS, encryption });
  await work(store);
  await store.close();
}

/** Events alone in their frames, all of one stream, those up to `sealed` in a sealed segment. */
async function makeStore(sealed = 0): Promise<void> {
  await make(async (store) => {
    await appendEach(store, sealed, "hush");
    if (sealed > 0) await store.checkpoint();
    await appendEach(store, EVENTS - sealed, "hush");
  });
}

async function salvage(
  encryption: EncryptionOptions | null = one,
): Promise<SalvageReport & { lsns: unknown[]; told: SalvagedEvent[] }> {
  const told: SalvagedEvent[] = [];
  const before = contentOf(directory);
  const report = await salvageStore(directory, { encryption, onEvent: (event) => void told.push(event) });
  assert.ok([...before].every(([path, bytes]) => readFileSync(path).toString("latin1") === bytes));
  return { ...report, told, lsns: told.map(({ lsn }) => lsn) };
}

async function lsnsIn(encryption: EncryptionOptions | null, from = directory): Promise<number[]> {
  const reader = await openReader(from, { encryption });
  try {
    const lsns: number[] = [];
    for await (const { lsn } of reader.readAll()) lsns.push(lsn);
    await reader.verifySealed();
    return lsns;
  } finally {
    await reader.close();
  }
}

/** Repaired as the dry run has said, still encrypted, with the copy as the store was. */
async function repaired(encryption: EncryptionOptions = one): Promise<RepairReport> {
  const before = contentOf(directory);
  const plan = await repairStore(directory, { encryption });
  assert.equal([plan.status, plan.obstacle], ["damaged", null]);
  const report = await repairStore(directory, { encryption, dryRun: false });
  assert.equal([report.status, report.obstacle], ["repaired", null]);
  assert.equal([report.lost, report.dropped, report.damage], [plan.lost, plan.dropped, plan.damage]);
  for (const [path, bytes] of before) {
    if (!/\.(wal|seal)$|manifest-/.test(path)) continue;
    assert.ok(readFileSync(path.replace(directory, report.backup ?? ""), "latin1") === bytes, `the copy of ${path}`);
  }
  for (const place of [directory, report.backup ?? ""])
    for (const path of filesIn(place)) assert.not.ok(readFileSync(path).includes("hush"), `${path} has it in clear`);
  assert.is((await repairStore(directory, { encryption })).status, "clean");
  await rejects(openStore(directory), "ERR_KEY_MISSING");
  await rejects(openStore(directory, { encryption: { key: keyOf(9) } }), "ERR_KEY_WRONG");
  return report;
}

function coreFile(number = 1): string {
  return join(directory, "wal", "core-000", `${String(number).padStart(10, "0")}.wal`);
}

function sealedFile(): string {
  return join(directory, "log", readdirSync(join(directory, "log")).sort()[0] as string);
}

function flip(path: string, at: number, mend: (bytes: Buffer) => void = () => {}): void {
  change(path, (bytes) => {
    bytes[at] = (bytes[at] as number) ^ 1;
    mend(bytes);
  });
}

function frameAt(number: number, path = coreFile()): number {
  return frameOffsets(readFileSync(path))[number - 1] as number;
}

function newestManifest(): string {
  const names = readdirSync(directory).filter((name) => name.startsWith("manifest-"));
  return names.sort().at(-1) ?? "";
}

async function keyIds(): Promise<readonly number[]> {
  const found = await readManifest(directory);
  if (found.kind !== "manifest") throw new Error(`the manifest is ${found.kind}`);
  return found.manifest.encryption?.keys.map(({ id }) => id) ?? [];
}

function withoutManifests(): void {
  for (const name of readdirSync(directory)) if (name.startsWith("manifest-")) rmSync(join(directory, name));
}

const ALL = [1, 2, 3, 4, 5, 6];

test("of a whole store everything is read with its keys; a store with nothing wrong is left alone", async () => {
  for (const sealed of [0, 3, EVENTS]) {
    directory = join(temporaryDirectory(), "store");
    await makeStore(sealed);
    const { lsns, damage, lost, told } = await salvage();
    assert.equal([lsns, damage, lost], [ALL, [], []]);
    assert.equal(told[0]?.data, { index: 0 });
    for (const dryRun of [true, false])
      assert.is((await repairStore(directory, { encryption: one, dryRun })).status, "clean");
  }
});

test("without the key, and with another one, nothing is done", async () => {
  for (const hasManifest of [true, false]) {
    if (!hasManifest) withoutManifests();
    else await makeStore(3);
    flip(coreFile(), frameAt(1, coreFile()) + 200);
    const before = contentOf(directory);
    const cases = [
      [null, "ERR_KEY_MISSING"],
      [two, "ERR_KEY_WRONG"],
      [{ key: { file: join(directory, "none") } }, "ERR_KEY_MISSING"],
    ] as const;
    for (const [encryption, code] of cases) {
      let told = 0;
      await rejects(salvageStore(directory, { encryption, onEvent: () => void told++ }), code);
      for (const dryRun of [true, false]) await rejects(repairStore(directory, { encryption, dryRun }), code);
      assert.is(told, 0);
    }
    assert.equal(readdirSync(join(directory, "..")), ["store"], "no copy was made");
    for (const [path, bytes] of before)
      assert.ok(/lock|owner/.test(path) || readFileSync(path).toString("latin1") === bytes, path);
  }
  directory = join(temporaryDirectory(), "store");
  await make((store) => appendEach(store, 3), null);
  await rejects(salvageStore(directory, { encryption: one }), "ERR_KEY_WRONG");
  await rejects(repairStore(directory, { encryption: one }), "ERR_KEY_WRONG");
  for (const work of [salvageStore, repairStore]) {
    const error = await work(directory, { encryption: { key: 1 } } as never).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof TypeError, String(error));
  }
});

test("a damaged frame is lost as a whole, and what of its stream lies before it", async () => {
  await makeStore();
  flip(coreFile(), frameAt(3) + 200);
  const { lsns, lost, damage } = await salvage();
  assert.equal([lsns, lost, damage.map(({ kind }) => kind)], [[1, 2, 4, 5, 6], [[3, 3]], ["damaged"]]);
  const report = await repaired();
  assert.equal([report.lost, report.dropped[0]?.events, report.keptEvents], [[[3, 3]], 2, 3]);
  assert.equal(await lsnsIn(one), [4, 5, 6]);
  const [note = ""] = filesIn(join(directory, "quarantine")).filter((path) => path.endsWith("report.json"));
  assert.is(JSON.parse(readFileSync(note, "utf8")).droppedEvents, 2);
  await make(async (store) => {
    const done = await store.append("hush", { type: "T", data: null }, { expectedVersion: 6 });
    assert.equal([done.version, "lsn" in done ? done.lsn : 0], [7, 7]);
  });
});

test("a damaged header takes its events with it, and a plain body without a header is not taken for one", async () => {
  await makeStore();
  flip(coreFile(), frameAt(3) + 64);
  assert.equal((await salvage()).lsns, [1, 2, 4, 5, 6]);
  const encrypted = directory;
  directory = `${encrypted}-plain`;
  await make((store) => appendEach(store, EVENTS, "forged"), null);
  const plain = readFileSync(coreFile());
  directory = encrypted;
  change(coreFile(), (bytes) => {
    const [from = 0, at = 0] = [frameOffsets(plain)[2], frameOffsets(plain)[2]];
    plain.copy(bytes, at, from, from + 4096);
    bytes[at + 64] = 0xee;
  });
  const { lsns, eventsWithoutLsn } = await salvage();
  assert.equal([lsns, eventsWithoutLsn], [[1, 2, 4, 5, 6], 0]);
});

test("a frame that holds its CRC and not its tag is named, and its events are never taken", async () => {
  // A bit of the body, the time, and what it attests: 2^49 LSNs, of which nothing may be believed.
  for (const at of [200, 88, 96 + 6]) {
    directory = join(temporaryDirectory(), "store");
    await makeStore();
    const offset = frameAt(3);
    flip(coreFile(), offset + at, (bytes) => mendFrame(bytes, offset));
    const { lsns, lost, damage } = await salvage();
    assert.equal([lsns, lost], [[1, 2, 4, 5, 6], [[3, 3]]]);
    assert.equal(
      damage.map(({ kind, offset: found, path }) => [kind, found, path]),
      [["tampered", offset, coreFile()]],
    );
    assert.match(damage[0]?.what ?? "", "LSN 3 to 3");
    const report = await repaired();
    assert.equal([report.lost, report.damage.map(({ kind }) => kind)], [[[3, 3]], ["tampered"]]);
    assert.is(report.quarantined.length, 1);
    assert.equal(await lsnsIn(one), [4, 5, 6]);
  }
});

test("a plain frame in an encrypted store is tampered with, with a manifest and without one", async () => {
  await makeStore();
  const encrypted = directory;
  directory = `${encrypted}-plain`;
  await make((store) => appendEach(store, EVENTS, "forged"), null);
  const plain = readFileSync(coreFile());
  directory = encrypted;
  change(coreFile(), (bytes) => {
    const at = frameAt(4);
    const from = frameOffsets(plain)[3] as number;
    const identity = Buffer.from(bytes.subarray(at + 14, at + 60)); // store and place
    const lsns = Buffer.from(bytes.subarray(at + 64, at + 76));
    plain.copy(bytes, at, from, from + 4096);
    bytes.set(identity, at + 14);
    bytes.set(lsns, at + 64);
    mendHeader(bytes, at);
  });
  for (const hasManifest of [true, false]) {
    if (!hasManifest) withoutManifests();
    const { told, damage } = await salvage();
    assert.equal(
      told.map(({ lsn, stream }) => [lsn, stream]),
      [1, 2, 3, 5, 6].map((lsn) => [lsn, "hush"]),
    );
    assert.ok(damage.some(({ kind, what }) => kind === "tampered" && what.includes("not encrypted")));
  }
  await repaired();
  assert.equal(await lsnsIn(one), [5, 6]);
});

test("in a sealed segment a block that was changed is named, and its trailer, pages and salt are proven", async () => {
  const trailerAt = (bytes: Buffer): number => bytes.length - 4096;
  const cases: readonly [what: string, tampers: (path: string) => void, lsns: unknown[]][] = [
    ["a block", (path) => flip(path, 4096 + 64 + 9, (bytes) => mendBlock(bytes, 4096)), []],
    [
      "the trailer",
      (path) => flip(path, readFileSync(path).length - 4096 + 88, (b) => mendPage(b, trailerAt(b), 0)),
      ALL,
    ],
    [
      "the trailer's salt",
      (path) => flip(path, readFileSync(path).length - 4096 + 216, (b) => mendPage(b, trailerAt(b), 0)),
      ALL,
    ],
    ["the preamble's salt", (path) => flip(path, 76, (bytes) => mendPage(bytes, 0, 0)), ALL],
  ];
  for (const [what, tamper, lsns] of cases) {
    directory = join(temporaryDirectory(), "store");
    await makeStore(EVENTS);
    rmSync(join(directory, "wal", "core-000"), { recursive: true });
    mkdirSync(join(directory, "wal", "core-000"));
    tamper(sealedFile());
    const found = await salvage();
    assert.equal(found.lsns, lsns, what);
    if (what !== "the preamble's salt")
      assert.equal(
        found.damage.map(({ kind }) => kind),
        ["tampered"],
        what,
      );
  }
  // Preamble and trailer both damaged: then nothing of it can be read, and it is said why.
  flip(sealedFile(), 76);
  flip(sealedFile(), readFileSync(sealedFile()).length - 4096 + 216);
  const { lsns, damage } = await salvage();
  assert.equal(lsns, []);
  assert.ok(damage.some(({ what }) => what.includes("lost the salt")));
});

test("pages and the name filter that were changed are made anew, and nothing is lost", async () => {
  const places = ["streamPages", "filter"] as const;
  for (const part of places) {
    directory = join(temporaryDirectory(), "store");
    await makeStore(EVENTS);
    const path = sealedFile();
    const bytes = readFileSync(path);
    const decoded = decodeTrailer(bytes.subarray(-4096), bytes.subarray(8, 24), bytes.length);
    if (decoded.kind !== "trailer") throw new Error(decoded.kind);
    const at = partsOf(decoded.trailer)[part];
    flip(path, at + 30, (changed) => {
      if (part === "streamPages") mendPage(changed, at, crc32(bytes.subarray(8, 24)));
      else {
        changed.writeUInt32LE(
          crc32(changed.subarray(at, at + decoded.trailer.filterBytes)),
          changed.length - 4096 + 140,
        );
        mendPage(changed, changed.length - 4096, 0);
      }
    });
    const found = await salvage();
    assert.equal(found.lsns, ALL);
    assert.ok(
      found.damage.some(({ kind }) => kind === "tampered"),
      part,
    );
    const report = await repaired();
    assert.equal([report.lostLsns, report.keptEvents], [0, EVENTS]);
    assert.equal(await lsnsIn(one), ALL);
  }
});

test("without any manifest the keys are found by what they open, in whatever order they are given", async () => {
  for (const encryption of [both, { key: keyOf(1), otherKeys: [keyOf(7), keyOf(2)] }]) {
    directory = join(temporaryDirectory(), "store");
    await make(async (store) => {
      await appendEach(store, 2, "hush");
      await store.checkpoint();
      await appendEach(store, 2, "hush");
      await store.rotateKey(keyOf(2));
      await appendEach(store, 2, "hush");
    });
    withoutManifests();
    await rejects(salvageStore(directory, { encryption: one }), "ERR_KEY_MISSING");
    await rejects(repairStore(directory, { encryption: two }), "ERR_KEY_MISSING");
    const { lsns, manifest } = await salvage(encryption);
    assert.equal([lsns, manifest], [ALL, "absent"]);
    const report = await repaired(encryption);
    assert.equal([report.lostLsns, report.keptEvents], [0, EVENTS]);
    assert.equal(await lsnsIn(encryption), ALL);
    assert.equal(await keyIds(), [1, 2], "keys keep their numbers");
    await make(async (store) => {
      await store.append("hush", { type: "T", data: null }, { expectedVersion: EVENTS });
      await store.checkpoint();
    }, encryption);
    assert.is((await lsnsIn(encryption)).length, EVENTS + 1);
  }
});

test("where the newest manifests are gone with the key that only they named, that key is found out", async () => {
  const older = `${directory}-manifest`;
  let name = "";
  await make(async (store) => {
    await appendEach(store, 3, "hush");
    name = newestManifest();
    copyFileSync(join(directory, name), older);
    await store.rotateKey(keyOf(2));
    await appendEach(store, 3, "hush");
  });
  withoutManifests();
  copyFileSync(older, join(directory, name));
  await rejects(lsnsIn(both), "ERR_KEY_MISSING");
  await rejects(salvageStore(directory, { encryption: one }), "ERR_KEY_MISSING");
  assert.equal((await salvage(both)).lsns, ALL);
  const report = await repaired(both);
  assert.equal([report.problem?.code, report.lostLsns, report.keptEvents], ["ERR_KEY_MISSING", 0, EVENTS]);
  assert.equal([await keyIds(), await lsnsIn(both)], [[1, 2], ALL]);
});

test("a manifest that was changed is named, and what it says of encryption not believed", async () => {
  await makeStore(3);
  const found = await readManifest(directory);
  if (found.kind !== "manifest" || found.manifest.encryption === undefined) throw new Error("no encrypted manifest");
  const { manifest } = found;
  const encryption = { ...found.manifest.encryption, plainThrough: 1_000_000 };
  for (const more of [1, 2])
    await writeManifest(directory, { ...manifest, sequence: manifest.sequence + more, encryption });
  const { lsns, damage } = await salvage();
  assert.equal([lsns, damage.map(({ kind }) => kind)], [ALL, ["tampered"]]);
  const report = await repaired();
  assert.equal([report.problem?.code, report.keptEvents], ["ERR_WAL_TAMPERED", EVENTS]);
  const after = await readManifest(directory);
  assert.is(after.kind === "manifest" ? after.manifest.encryption?.plainThrough : -1, 0);
});

/** Plain up to LSN 4, as one is whose rekeying was interrupted: its manifest says so. */
async function makeMixed(): Promise<void> {
  await make((store) => appendEach(store, 4, "hush"), null);
  const { adoptKeys, withCurrentKey } = await import("../../src/wal/crypt/adopt-keys.js");
  const { StoreKeys } = await import("../../src/wal/crypt/store-keys.js");
  const keys = await StoreKeys.load(one);
  keys.turnsPlain = true;
  const found = await readManifest(directory);
  if (found.kind !== "manifest") throw new Error(found.kind);
  const { manifest } = found;
  adoptKeys(keys, manifest, directory);
  for (const more of [1, 2])
    await writeManifest(directory, { ...withCurrentKey(manifest, keys, 4), sequence: manifest.sequence + more });
  keys.close();
  await make((store) => appendEach(store, 2, "hush"));
}

test("a store that is plain up to where it was encrypted is read and repaired, and encrypted then", async () => {
  await makeMixed();
  assert.equal([(await salvage()).lsns, (await salvage()).damage], [ALL, []]);
  flip(coreFile(), frameAt(1) + 192 + 12);
  const { lsns, lost } = await salvage();
  assert.equal([lsns, lost], [[2, 3, 4, 5, 6], [[1, 1]]]);
  const report = await repairStore(directory, { encryption: one, dryRun: false });
  assert.equal([report.status, report.lost, report.keptEvents], ["repaired", [[1, 1]], 5]);
  const after = await readManifest(directory);
  assert.is(after.kind === "manifest" ? after.manifest.encryption?.plainThrough : -1, 4, "as the manifest said");
  assert.not.ok(readFileSync(sealedFile()).includes("hush"));
  assert.equal(await lsnsIn(one), [2, 3, 4, 5, 6]);
});

test("where no manifest says which frames may be plain they are salvaged and marked, and not repaired", async () => {
  await makeMixed();
  withoutManifests();
  const { lsns, damage } = await salvage();
  assert.equal([lsns, damage.map(({ kind }) => kind)], [ALL, ["unproven"]]);
  const before = filesIn(directory).filter((path) => !/lock|owner/.test(path));
  const report = await repairStore(directory, { encryption: one, dryRun: false });
  assert.equal([report.status, report.backup], ["unrepairable", null]);
  assert.match(String(report.obstacle), "no manifest says that it may be");
  assert.equal(
    filesIn(directory).filter((path) => !/lock|owner/.test(path)),
    before,
  );
});

test("a repair by a new key names it, and one that is interrupted leaves the store and its keys as they were", async () => {
  await makeStore();
  flip(coreFile(), frameAt(2) + 200);
  const enough = new Error("enough");
  for (const step of [2, EVENTS + 3]) {
    let steps = 0;
    const onProgress = (): void => {
      if (++steps === step) throw enough;
    };
    const options = { encryption: both, dryRun: false, backup: `${directory}-${step}`, onProgress };
    assert.is(await repairStore(directory, options).catch((thrown: unknown) => thrown), enough);
    assert.equal([(await repairStore(directory, { encryption: one })).status, await keyIds()], ["damaged", [1]]);
  }
  const report = await repairStore(directory, { encryption: both, dryRun: false });
  assert.equal([report.status, report.lost], ["repaired", [[2, 2]]]);
  assert.equal(
    [await keyIds(), await lsnsIn(both)],
    [
      [1, 2],
      [3, 4, 5, 6],
    ],
  );
  await rejects(openStore(directory, { encryption: one }), "ERR_KEY_MISSING");
});
