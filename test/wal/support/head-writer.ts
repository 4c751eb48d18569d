/**
 * One of several who use a head table at once, as a process or as a worker thread: `MODE DIRECTORY SLOT`. It says `ready`, waits until the
 * file `go` is there, and ends with one line of JSON; in mode `churn` it goes on until it is killed.
 */

import { createHash } from "node:crypto";
import { existsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { parentPort } from "node:worker_threads";
import { HeadTable } from "../../../src/wal/head-table.js";
import { EPOCHS_PER_VERSION, OWN_NAMES, SHARED_NAMES, sharedName, TURNS } from "./head-work.js";

/** Without a factor in common with the number of names. */
const STRIDES = [1, 7, 11, 13, 17];

const [mode, directory, slotText] = process.argv.slice(2) as [string, string, string];
const slot = Number(slotText);
const table = HeadTable.attach(directory, { slot, generation: 1 });

function say(text: string): void {
  if (parentPort === null) writeSync(1, `${text}\n`);
  else parentPort.postMessage(text);
}

function insert(name: string, version: number): number {
  const bytes = Buffer.from(name);
  for (;;) {
    const entry = table.insert(bytes, version);
    if (entry !== -1) return entry;
  }
}

function lock(entry: number): void {
  let isLocked = false;
  while (!isLocked) isLocked = table.tryLock(entry);
}

/** Each in an order of its own, so that all meet everywhere. */
function insertAll(): string {
  const entries: number[] = new Array(SHARED_NAMES).fill(-1);
  for (let index = 0; index < SHARED_NAMES; index++) {
    const at = (index * (STRIDES[slot] as number)) % SHARED_NAMES;
    entries[at] = insert(sharedName(at), at);
    if (index < OWN_NAMES) insert(`only-${slot}-${index}`, index);
  }
  return createHash("sha256").update(entries.join()).digest("hex");
}

function countUp(): string {
  for (let turn = 0; turn < TURNS; turn++) {
    const entry = table.find(Buffer.from(sharedName(turn % 3)));
    lock(entry);
    table.setCommitted(entry, table.committedVersion(entry) + 1);
    table.unlock(entry);
  }
  return "done";
}

/** Appends to a few streams all share, and makes new ones with long names so that levels are added. */
function churn(): void {
  let made = 0;
  for (let turn = slot; ; turn = (turn * 5 + 7) % 4096) {
    if (turn % 64 === 0) insert(`only-${slot}-${made}-`.padEnd(1 + ((made * 37) % 1000) + 20, "x"), made++);
    const entry = table.find(Buffer.from(sharedName(turn % 16)));
    lock(entry);
    appendTo(entry, turn);
    table.unlock(entry);
  }
}

function appendTo(entry: number, turn: number): void {
  const tentative = table.tentativeVersion(entry);
  if (tentative === 0) {
    const version = table.committedVersion(entry) + 1;
    table.setTentative(entry, version, version * EPOCHS_PER_VERSION);
    table.setWanted(entry, -1);
  } else if (table.tentativeSlot(entry) !== slot) {
    table.setWanted(entry, slot);
  } else if (turn % 3 === 0) {
    table.setCommitted(entry, tentative);
  } else {
    table.raiseCommitted(entry, tentative - 1);
    table.setTentative(entry, tentative + 1, (tentative + 1) * EPOCHS_PER_VERSION);
  }
}

say("ready");
while (!existsSync(join(directory, "go")));
if (mode === "churn") churn();
else say(mode === "insert" ? insertAll() : countUp());
table.close();
