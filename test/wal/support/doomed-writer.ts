/**
 * A writer that is going to be killed: brings itself into the state that argv[3] names, says `ready` and waits.
 *
 *     idle      has appended and closed nothing
 *     taken     has LSNs, and no write of it has begun
 *     written   the write has ended, and it has not heard of it
 *     gap       a batch that is written behind one that is not
 *     lock      holds the LSN lock
 */

import { ControlFile } from "../../../src/wal/control-file.js";
import { WORD } from "../../../src/wal/control-layout.js";
import { type Fault, isFrame } from "./faulty-io.js";
import { append, openFaulty } from "./log-fixture.js";

const [directory, state] = process.argv.slice(2) as [string, string];
const { wal, faulty } = await openFaulty(directory);
await append(wal, ["doomed-0"], "now");

const FAULTS: Readonly<Record<string, readonly Fault[]>> = {
  taken: ["doLater"],
  written: ["tellLater"],
  gap: ["doLater", "tellLater"],
};
const faults = [...(FAULTS[state] ?? [])];
faulty.decide = (operation) => (isFrame(operation) ? (faults.shift() ?? null) : null);
for (let index = 1; index <= (FAULTS[state]?.length ?? 0); index++) void append(wal, [`doomed-${index}`], "now");
if (state === "lock") {
  const control = ControlFile.open(directory, wal.storeId, "write");
  Atomics.store(control.file.int32, WORD.lsnLock, wal.slot + 1);
}
setTimeout(() => process.stdout.write("ready\n"), 50);
setInterval(() => {}, 1000);
