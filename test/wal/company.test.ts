/** Several writers of one log: one order, one watermark, and what becomes of those that die. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { StoreError } from "../../src/errors.js";
import { currentManifest } from "../../src/wal/manifest-change.js";
import type { Wal } from "../../src/wal/wal.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { isFrame } from "./support/faulty-io.js";
import { append, openFaulty, openFiles, openLog, readLog, recordsOf, ringCount } from "./support/log-fixture.js";

const test = suite("wal/company");

let directory = "";
let filesBefore: string[] = [];
let ringsBefore = 0;
test.beforeEach(() => {
  directory = join(temporaryDirectory(), "store");
  filesBefore = openFiles();
  ringsBefore = ringCount();
});
test.afterEach(() => {
  assert.equal(openFiles(), filesBefore, "files were left open");
  assert.is(ringCount(), ringsBefore, "rings were left open");
});

/** A writer in another process, in the state in which it is going to be killed. */
async function doomed(
  state: string,
): Promise<{ readonly kill: () => Promise<void>; readonly goOn: () => Promise<void> }> {
  const script = fileURLToPath(new URL("./support/doomed-writer.js", import.meta.url));
  const child: ChildProcess = spawn(process.execPath, [script, directory, state], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(child.stdout as NodeJS.ReadableStream, "data");
  return {
    goOn: async () => {
      child.stdin?.write("go on\n");
      await once(child.stdout as NodeJS.ReadableStream, "data");
    },
    kill: async () => {
      child.kill("SIGKILL");
      await once(child, "close");
    },
  };
}

async function closeAll(...wals: Wal[]): Promise<void> {
  for (const wal of wals) await wal.close();
}

test("two writers write one log: LSNs are dense over both, and each reads what the other wrote", async () => {
  const { wal: a } = await openLog(directory);
  const { wal: b, recovered } = await openLog(directory);
  assert.equal(recovered, []);
  assert.is(b.recovery.row, "attached");
  assert.equal([a.slot, b.slot], [0, 1]);
  const lsns: number[] = [];
  for (let round = 0; round < 20; round++) {
    lsns.push(await append(a, [`a${round}`], "now"));
    lsns.push(await append(b, [`b${round}`], "turn"));
  }
  assert.equal(
    lsns,
    Array.from({ length: 40 }, (_, index) => index + 1),
  );
  const expected = Array.from({ length: 20 }, (_, round) => [`a${round}`, `b${round}`]).flat();
  assert.equal(await readLog(a), expected);
  assert.equal(await readLog(b), expected);
  await closeAll(a, b);
  const { wal, recovered: again } = await openLog(directory);
  assert.equal(again, expected);
  assert.is(wal.recovery.row, "@I");
  await wal.close();
});

test("an owner that cannot be looked at fails the opening, and leaves no lock behind", async () => {
  const { wal: a } = await openLog(directory);
  const { wal: b } = await openLog(directory);
  await append(a, ["a"], "now");
  await closeAll(a, b);
  const owner = join(directory, "wal", "core-001", "owner");
  rmSync(owner);
  mkdirSync(owner);
  await rejects(openLog(directory), "ERR_IO_FAILED");
  rmdirSync(owner);
  // Of the first core nobody holds the lock: else it would pass for a living writer's.
  const { wal, recovered } = await openLog(directory);
  assert.equal(recovered, ["a"]);
  await wal.close();
});

test("W does not go back when a writer closes that has not heard of the others itself", async () => {
  const { wal: idle } = await openLog(directory);
  const { wal: busy } = await openLog(directory);
  await append(busy, ["a"], "now");
  const { watermark } = idle;
  assert.is(watermark, 1);
  await idle.close();
  assert.is(idle.watermark, watermark);
  await busy.close();
});

test("who closes last ends the log behind what others wrote since it looked", async () => {
  const { wal: idle } = await openLog(directory);
  const { wal: busy } = await openLog(directory);
  await append(busy, ["a"], "now");
  await append(busy, ["b"], "now");
  await closeAll(busy, idle);
  const { wal, recovered } = await openLog(directory);
  assert.equal(recovered, ["a", "b"]);
  assert.is(wal.recovery.row, "@I");
  await wal.close();
});

test("writers at once: every append has its own LSN, recordedAt never falls, and a later opener reads all in that order", async () => {
  const opened = await Promise.all([1, 2, 3].map(() => openLog(directory)));
  const wals = opened.map(({ wal }) => wal);
  const expected: string[] = [];
  await Promise.all(
    wals.flatMap((wal, writer) =>
      Array.from({ length: 40 }, async (_, caller) => {
        for (let round = 0; round < 10; round++) {
          const name = `${writer}-${caller}-${round}`;
          const lsn = await append(wal, [name, `${name}'`]);
          assert.is(expected[lsn - 1], undefined);
          expected[lsn - 1] = name;
          expected[lsn] = `${name}'`;
        }
      }),
    ),
  );
  assert.is(expected.length, 3 * 40 * 10 * 2);
  for (const wal of wals) assert.equal(await readLog(wal), expected);
  await closeAll(...wals);
  const { wal, recovered, frames } = await openLog(directory);
  assert.equal(recovered, expected);
  for (let index = 1; index < frames.length; index++) {
    assert.ok((frames[index]?.header.recordedAt as number) >= (frames[index - 1]?.header.recordedAt as number));
  }
  await wal.close();
});

test("an append is told only when every LSN below it is durable, whoever has it", async () => {
  const { wal: a, faulty } = await openFaulty(directory);
  const { wal: b } = await openLog(directory);
  faulty.decide = (operation) => (isFrame(operation) ? "doLater" : null);
  const first = append(a, ["first"], "now");
  let isTold = false;
  const second = append(b, ["second"], "now").then((lsn) => {
    isTold = true;
    return lsn;
  });
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.is(isTold, false);
  assert.is(b.watermark, 0);
  assert.equal(await readLog(b), []);
  for (const { release } of [...faulty.withheld]) release();
  assert.equal(await Promise.all([first, second]), [1, 2]);
  faulty.decide = () => null;
  await closeAll(a, b);
});

test("who listens hears of another's appends, and who does not reads them all the same", async () => {
  const { wal: a } = await openLog(directory);
  const { wal: b } = await openLog(directory);
  const heard: number[] = [];
  const stop = b.onAdvance((watermark) => heard.push(watermark));
  for (let lsn = 1; lsn <= 5; lsn++) {
    await append(a, [`${lsn}`], "now");
    while (heard.at(-1) !== lsn) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  stop();
  await append(a, ["6"], "now");
  assert.is(b.watermark, 6);
  assert.equal(await readLog(b), ["1", "2", "3", "4", "5", "6"]);
  await closeAll(b, a);
});

const DEATHS: readonly { readonly state: string; readonly kept: readonly string[]; readonly voids: number }[] = [
  { state: "idle", kept: ["doomed-0"], voids: 0 },
  { state: "taken", kept: ["doomed-0"], voids: 1 },
  { state: "written", kept: ["doomed-0", "doomed-1"], voids: 0 },
  { state: "gap", kept: ["doomed-0"], voids: 2 },
  { state: "lock", kept: ["doomed-0"], voids: 0 },
];
for (const { state, kept, voids } of DEATHS) {
  test(`a writer that dies in the state "${state}" is taken over, and the others go on`, async () => {
    const { wal } = await openLog(directory);
    const other = await doomed(state);
    await other.kill();
    const lsns = await Promise.all(["x", "y"].map((name) => append(wal, [name], "now")));
    assert.equal(lsns, [kept.length + voids + 1, kept.length + voids + 2]);
    const expected = [...kept, "x", "y"];
    assert.equal(await readAll(wal), expected);
    // Whoever comes next takes over what nobody waited for.
    const { wal: next } = await openLog(directory);
    assert.equal(await readAll(next), expected);
    assert.is(wal.takeovers.length + next.takeovers.length, 1);
    assert.is([...wal.takeovers, ...next.takeovers][0]?.voids.length ?? 0, voids);
    await closeAll(next, wal);
    const recovered: string[] = [];
    const { wal: again } = await openLog(directory, {}, (frame) => recovered.push(...recordsOf(frame)));
    assert.equal(recovered, expected);
    await again.close();
  });
}

async function readAll(wal: Wal): Promise<string[]> {
  const records: string[] = [];
  for await (const frame of wal.frames(0, wal.watermark)) records.push(...recordsOf(frame));
  return records;
}

function headOf(wal: Wal, name: string): { readonly committed: number; readonly tentative: number } {
  const entry = wal.heads.find(Buffer.from(name));
  return { committed: wal.heads.committedVersion(entry), tentative: wal.heads.tentativeVersion(entry) };
}

test("a checkpoint leaves what tells how far a dead writer's streams had come, whose last batch is lost", async () => {
  const { wal } = await openLog(directory);
  const other = await doomed("lost");
  await other.kill();
  // Nobody waits, so nobody has noticed yet.
  assert.is(wal.takeovers.length, 0);
  assert.is((await wal.checkpoint())?.lsn, 3);
  const { wal: next } = await openLog(directory);
  assert.equal(headOf(next, "s"), { committed: 2, tentative: 0 });
  assert.equal(headOf(next, "t"), { committed: 1, tentative: 0 });
  await closeAll(next, wal);
});

test("a dead writer whose frames W had to pass first is ended by a survivor, also behind a checkpoint, and so is the log", async () => {
  const { wal, faulty } = await openFaulty(directory);
  const { wal: survivor } = await openLog(directory);
  const other = await doomed("lost between");
  faulty.decide = (operation) => (isFrame(operation) ? "doLater" : null);
  const slow = append(wal, ["slow"], "now");
  await other.goOn();
  await other.kill();
  const told = append(survivor, ["x"], "now");
  while (survivor.takeovers.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(
    survivor.takeovers.map(({ isEnded, voids }) => ({ isEnded, voids })),
    [
      {
        isEnded: false,
        voids: [
          [4, 4],
          [5, 5],
        ],
      },
    ],
  );
  assert.equal(headOf(survivor, "s"), { committed: 1, tentative: 2 });
  assert.is(wal.cores().filter(({ isLive }) => isLive).length, 3);
  faulty.decide = () => null;
  for (const { release } of [...faulty.withheld]) release();
  await Promise.all([slow, told]);
  await survivor.checkpoint();
  while (wal.cores().filter(({ isLive }) => isLive).length > 2) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(headOf(survivor, "s"), { committed: 2, tentative: 0 });
  await closeAll(wal, survivor);
  assert.is((await currentManifest(directory)).incarnations.at(-1)?.lastLsn, 6);
});

test("when nobody survives, the next opener recovers what all of them left", async () => {
  const others: { readonly kill: () => Promise<void> }[] = [];
  // One after the other: behind one that has LSNs and does not write, nobody's append is told.
  for (const state of ["idle", "written", "gap"]) others.push(await doomed(state));
  await Promise.all(others.map(({ kill }) => kill()));
  const recovered: string[] = [];
  const { wal } = await openLog(directory, {}, (frame) => recovered.push(...recordsOf(frame)));
  assert.equal(recovered.filter((name) => name === "doomed-0").length, 3);
  await append(wal, ["x"]);
  await wal.close();
});

test("a writer whose write fails stops all of them, and the next opening recovers", async () => {
  const { wal: a, faulty } = await openFaulty(directory);
  const { wal: b } = await openLog(directory);
  await append(b, ["kept"], "now");
  faulty.decide = (operation) => (isFrame(operation) ? { result: -5 } : null);
  await rejects(append(a, ["lost"], "now"), "ERR_WAL_OUTCOME_UNKNOWN");
  await rejects(append(b, ["refused"], "now"), (error) =>
    /ERR_WAL_(FAILED|OUTCOME_UNKNOWN)/.test(String((error as StoreError).code)),
  );
  await rejects(openLog(directory), "ERR_WAL_FAILED");
  await closeAll(a, b);
  const { wal, recovered } = await openLog(directory);
  assert.is(recovered[0], "kept");
  await wal.close();
});

test("an exclusive opener refuses company and is refused where there is some; there is room for so many writers", async () => {
  const { wal } = await openLog(directory);
  await rejects(openLog(directory, { exclusive: true }), "ERR_STORE_LOCKED");
  await rejects(openLog(directory, { maxWriters: 1 }), "ERR_STORE_WRITERS");
  await wal.close();
  const { wal: alone } = await openLog(directory, { exclusive: true });
  await rejects(openLog(directory), "ERR_STORE_LOCKED");
  await alone.close();
});
