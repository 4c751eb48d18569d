/**
 * A writer that is going to be killed: brings itself into the state that argv[3] names, says `ready` and waits.
 *
 *     idle      has appended and closed nothing
 *     taken     has LSNs, and no write of it has begun
 *     written   the write has ended, and it has not heard of it
 *     gap       a batch that is written behind one that is not
 *     lock      holds the LSN lock
 *
 * And two whose batches are of the stream "s", the last one lost, in more than one segment. It claims what it writes, as a store does:
 *
 *     lost          the second version is written, and then a batch of another stream; a third is lost
 *     lost between  the second version is written, the third is lost, and behind it in another segment lies one that is written
 *
 * In "lost between" it waits for a line of input before it writes, so that another writer's LSNs can be below.
 */

import { once } from "node:events";

import { ControlFile } from "../../../src/wal/control-file.js";
import { WORD } from "../../../src/wal/control-layout.js";
import { type Fault, isFrame } from "./faulty-io.js";
import { append, KIBIBYTE, openFaulty } from "./log-fixture.js";

const [directory, state] = process.argv.slice(2) as [string, string];
const { wal, faulty } = await openFaulty(directory);
await append(wal, ["doomed-0"], "now");

const FAULTS: Readonly<Record<string, readonly Fault[]>> = {
  taken: ["doLater"],
  written: ["tellLater"],
  gap: ["doLater", "tellLater"],
  lost: ["tellLater", "tellLater", "doLater"],
  "lost between": ["tellLater", "doLater", "tellLater"],
};
const SMALL_BYTES = 20 * KIBIBYTE;
/** Has no room behind a small one. */
const LARGE_BYTES = 50 * KIBIBYTE;
const STREAM_BATCHES: Readonly<Record<string, readonly (readonly [name: string, version: number, bytes: number])[]>> = {
  lost: [
    ["s", 2, SMALL_BYTES],
    ["t", 1, LARGE_BYTES],
    ["s", 3, 100],
  ],
  "lost between": [
    ["s", 2, SMALL_BYTES],
    ["s", 3, SMALL_BYTES],
    ["t", 1, LARGE_BYTES],
  ],
};

/** As the first to write to it does: the stream had one version before. */
function claim(name: string, version: number, epoch: number): void {
  const entry = wal.heads.insert(Buffer.from(name), version - 1);
  if (!wal.heads.tryLock(entry)) throw new Error(`"${name}" is locked`);
  wal.heads.setTentative(entry, version, epoch);
  wal.heads.unlock(entry);
}
const faults = [...(FAULTS[state] ?? [])];
faulty.decide = (operation) => (isFrame(operation) ? (faults.shift() ?? null) : null);
const batches = STREAM_BATCHES[state];
if (state === "lost between") {
  process.stdout.write("waiting\n");
  await once(process.stdin, "data");
}
for (const [name, version, bytes] of batches ?? []) {
  const record = `${name}@${version}`.padEnd(bytes, "x");
  const batch = wal.batchFor(1, record.length, true);
  if (batch === null) throw new Error("no room for a batch");
  claim(name, version, batch.epoch);
  void append(wal, [record], "now");
}
while (batches !== undefined && faulty.withheld.length < batches.length)
  await new Promise((resolve) => setTimeout(resolve, 1));
for (let index = 1; batches === undefined && index <= (FAULTS[state]?.length ?? 0); index++)
  void append(wal, [`doomed-${index}`], "now");
if (state === "lock") {
  const control = ControlFile.open(directory, wal.storeId, "write");
  Atomics.store(control.file.int32, WORD.lsnLock, wal.slot + 1);
}
setTimeout(() => process.stdout.write("ready\n"), 50);
setInterval(() => {}, 1000);
