/** What must be there of appends, checkpoints and backups: all that was acknowledged, and no append half. */

import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { openReader, openStore } from "../../src/index.js";
import { AppendOracle } from "../crash/append-oracle.js";
import { type PlannedData, planOf } from "../crash/kill-plan.js";
import { appendPlanned } from "../crash/planned-append.js";
import { BACKUP, type Finding, type Look, STORE } from "./power-cut-place.js";

const SEGMENT_BYTES = 128 * 1024;

interface Acknowledged {
  readonly name: string;
  readonly lsn: number;
}

function acknowledgedBy(mark: string): Acknowledged {
  const [name, lsn] = mark.split(" ") as [string, string];
  return { name, lsn: Number(lsn) };
}

async function read(events: AsyncIterable<{ lsn: number; stream: string; version: number; data: unknown }>) {
  const found: { lsn: number; stream: string; version: number; data: PlannedData }[] = [];
  for await (const { lsn, stream, version, data } of events)
    found.push({ lsn, stream, version, data: data as PlannedData });
  return found;
}

/** A backup that was made is there, and holds what the store does. */
async function lookAtBackup(directory: string, lsn: number, events: readonly unknown[]): Promise<void> {
  const reader = await openReader(directory);
  try {
    const saved = await read(reader.readAll());
    if (saved.length < lsn) throw new Error(`the backup was made up to LSN ${lsn}, and ends with ${saved.length}`);
    if (!isDeepStrictEqual(saved, events.slice(0, saved.length))) throw new Error("the backup holds other events");
    await reader.verifySealed();
  } finally {
    await reader.close();
  }
}

/** Opens the store, judges what is there, appends to it, and judges what a reader finds then. */
export const lookAtAppends: Look = async (place, marks, number) => {
  const directory = join(place, STORE);
  const acks = marks.map(acknowledgedBy);
  const backup = acks.findLast(({ name }) => name === BACKUP);
  const oracle = new AppendOracle();
  oracle.acknowledge(acks.filter(({ name }) => name !== BACKUP));
  const store = await openStore(directory, { segmentBytes: SEGMENT_BYTES });
  let finding: Finding;
  try {
    const events = await read(store.readAll());
    const unacknowledgedCount = oracle.check(events);
    if (backup !== undefined) await lookAtBackup(join(place, BACKUP), backup.lsn, events);
    finding = { isTorn: store.recovery.tornAt !== null, unacknowledgedCount };
    const plan = planOf(`9.0.${number}`);
    oracle.acknowledge([{ name: plan.name, lsn: await appendPlanned(store, plan) }]);
    oracle.check(await read(store.readAll()));
  } finally {
    await store.close();
  }
  const reader = await openReader(directory);
  try {
    oracle.check(await read(reader.readAll()));
  } finally {
    await reader.close();
  }
  return finding;
};
