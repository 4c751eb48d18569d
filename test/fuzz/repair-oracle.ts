/** Judges a repair of a damaged store: that it drops what it names and nothing else, and that what it leaves is a store. */

import { existsSync, rmSync } from "node:fs";
import { verifyEvents } from "../../src/events/verify-events.js";
import { openReader, openStore, type RepairReport, repairStore } from "../../src/index.js";
import { FuzzFailure } from "./fuzz-oracle.js";
import { copyOf, type FuzzStore, OPTIONS } from "./fuzz-store.js";
import { type ReadEvent, readWhole } from "./store-reading.js";

export type RepairOutcome = "clean" | "repaired whole" | "repaired with losses" | "unrepairable";

function fail(what: string): never {
  throw new FuzzFailure(what);
}

/** @throws FuzzFailure */
export async function judgeRepair(store: FuzzStore, damaged: string, scratch: string): Promise<RepairOutcome> {
  const directory = copyOf(damaged, scratch);
  const backup = `${scratch}-backup`;
  rmSync(backup, { recursive: true, force: true });
  const { encryption } = store;
  const plan = await repairStore(directory, { encryption });
  const report = await repairStore(directory, { dryRun: false, backup, encryption });
  if (plan.status !== "damaged" && plan.status !== report.status) fail(`${plan.status}, then ${report.status}`);
  if (plan.status === "damaged" && report.status !== "repaired") fail(`not repaired: ${report.obstacle}`);
  for (const key of ["lost", "dropped", "unacknowledged", "lastLsn", "keptEvents"] as const) {
    if (JSON.stringify(plan[key]) !== JSON.stringify(report[key])) fail(`${key}: another than the dry run said`);
  }
  if (report.status === "unrepairable") {
    if (report.obstacle === null || existsSync(backup)) fail("unrepairable, and does not say why, or was touched");
    return "unrepairable";
  }
  if (report.status === "clean") return "clean";
  await judgeRepaired(store, directory, report);
  if (!existsSync(backup)) fail("no copy was kept");
  rmSync(backup, { recursive: true, force: true });
  return report.lostLsns + report.droppedEvents + report.unacknowledged.length === 0
    ? "repaired whole"
    : "repaired with losses";
}

function isNamed({ lsn, stream, version }: ReadEvent, report: RepairReport): boolean {
  const isIn = ([from, through]: readonly [number, number]): boolean => lsn >= from && lsn <= through;
  if (report.lost.some(isIn) || report.unacknowledged.some(isIn) || lsn > report.lastLsn) return true;
  return report.dropped.some(
    (entry) => entry.stream === stream && version >= entry.fromVersion && version <= entry.throughVersion,
  );
}

async function judgeRepaired(store: FuzzStore, directory: string, report: RepairReport): Promise<void> {
  const { encryption } = store;
  const reader = await openReader(directory, { encryption });
  try {
    await verifyEvents(reader);
  } finally {
    await reader.close();
  }
  const writer = await openStore(directory, { ...OPTIONS, encryption });
  try {
    const left = await readWhole(writer);
    if (left.events.length !== report.keptEvents) fail(`${left.events.length} of ${report.keptEvents} events are left`);
    const texts = new Set(left.events.map(({ text }) => text));
    for (const event of store.recovered.events) {
      if (texts.delete(event.text) === isNamed(event, report))
        fail(`${event.text} is gone unnamed, or named and there`);
    }
    const [stranger] = texts;
    if (stranger !== undefined) fail(`${stranger} was never written`);
    const done = await writer.append("account-0", { type: "Deposited", data: { cents: 1 } });
    if (!("lsn" in done) || done.lsn !== report.lastLsn + 1) fail(`appended at another LSN than ${report.lastLsn + 1}`);
  } finally {
    await writer.close();
  }
  if ((await repairStore(directory, { encryption })).status !== "clean")
    fail("not clean after the repair and an append");
}
