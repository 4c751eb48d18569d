/**
 * How a writer gets its place in a store: under the attach lock, as the first (then it recovers) or beside others.
 *
 *     owner locks   control file           what the opener does
 *     all free      whatever it says       recover, make a new control file and head table
 *     some held     of the incarnation     take over the dead, attach to a free slot
 *     some held     missing, other version, other store, other incarnation     refuse
 *
 * With `exclusive` the second and third row are refused as well.
 */

import { StoreError } from "../errors.js";
import type { BlockIo, BufferPool } from "../ffi/index.js";
import { ControlFile } from "./control-file.js";
import { SLOT_COUNT_MAX } from "./control-layout.js";
import { adoptKeys, withCurrentKey } from "./crypt/adopt-keys.js";
import type { StoreKeys } from "./crypt/store-keys.js";
import { HeadTable, type NameVeil } from "./head-table.js";
import type { Manifest } from "./manifest.js";
import { changeManifest, currentManifest } from "./manifest-change.js";
import type { RecoveredLog } from "./open-log.js";
import { OwnerLock } from "./owner-lock.js";
import type { KeyOf } from "./record-key.js";
import type { SealedLog } from "./sealed/sealed-log.js";
import { openSealedTier } from "./sealed-tier.js";
import { listCores } from "./segment-name.js";
import { isWorthTelling, type TakeoverPlace, type TakeoverReport, takeOver } from "./takeover.js";

export interface AttachPlace {
  readonly directory: string;
  readonly io: BlockIo;
  readonly pool: BufferPool;
  readonly keyOf: KeyOf;
  /** Of a store that is encrypted. */
  readonly keys?: StoreKeys | null;
  readonly isExclusive: boolean;
  readonly maxWriters: number;
  readonly busyWaitMs: number;
  readonly onWaiting: (path: string) => void;
}

export interface Attachment {
  readonly storeId: Uint8Array;
  readonly manifest: Manifest;
  readonly control: ControlFile;
  readonly heads: HeadTable;
  readonly owner: OwnerLock;
  readonly generation: number;
  /** What recovery found; null for whoever attached beside others. */
  readonly recovered: RecoveredLog | null;
  readonly takeovers: readonly TakeoverReport[];
  readonly sealed: SealedLog;
}

/** The slot that this process has, and the slots of others by whether they live. */
interface Census {
  readonly free: OwnerLock[];
  readonly heldCores: readonly number[];
}

async function takeCensus(directory: string): Promise<Census> {
  const cores = await listCores(directory);
  const free = OwnerLock.takeFree(directory, cores);
  return { free, heldCores: cores.filter((core) => !free.some((lock) => lock.core === core)) };
}

/** Under the attach lock. `recover` reads the log and fences it, for a first opener. */
export async function attach(place: AttachPlace, recover: () => Promise<RecoveredLog>): Promise<Attachment> {
  const { free, heldCores } = await takeCensus(place.directory);
  let kept: OwnerLock | null = null;
  try {
    if (heldCores.length > 0 && place.isExclusive) {
      const message = `the store in ${place.directory} is open elsewhere, by ${heldCores.length} writer(s)`;
      throw new StoreError("ERR_STORE_LOCKED", message, { directory: place.directory, writers: heldCores.length });
    }
    const attachment =
      heldCores.length === 0 ? await first(place, free, recover) : await beside(place, free, heldCores);
    kept = attachment.owner;
    return attachment;
  } finally {
    for (const lock of free) if (lock !== kept) lock.release();
  }
}

function lockOf(directory: string, core: number, free: OwnerLock[]): OwnerLock {
  const known = free.find((lock) => lock.core === core);
  const lock = known ?? OwnerLock.tryTake(directory, core);
  if (lock === null) throw new StoreError("ERR_STORE_BUSY", `core ${core} was taken by another`, { core });
  if (known === undefined) free.push(lock);
  return lock;
}

async function first(place: AttachPlace, free: OwnerLock[], recover: () => Promise<RecoveredLog>): Promise<Attachment> {
  const recovered = await recover();
  try {
    return begin(place, free, recovered);
  } catch (error) {
    await recovered.sealed.close();
    throw error;
  }
}

/** With a new control file and head table. */
function begin(place: AttachPlace, free: OwnerLock[], recovered: RecoveredLog): Attachment {
  endOldControl(place);
  const { facts } = recovered.found;
  const { manifest, sealed } = recovered;
  const storeId = Buffer.from(manifest.storeId, "hex");
  const sealedRecordedAt = sealed.lastLsn > 0 ? sealed.highestRecordedAt : facts.lastRecordedAt;
  const control = ControlFile.create(place.directory, {
    storeId,
    incarnation: recovered.incarnation.incarnation,
    durableLsn: facts.attestedLsn, // what is to be rewritten counts as durable only then
    lastRecordedAt: Math.max(facts.lastRecordedAt, sealedRecordedAt),
    slotCount: SLOT_COUNT_MAX,
  });
  try {
    const owner = lockOf(place.directory, 0, free);
    const me = { slot: 0, generation: control.generationOf(0) + 1 };
    const heads = HeadTable.create(place.directory, me, veilOf(place));
    const generation = control.attach(0, process.pid);
    return { storeId, manifest, control, heads, owner, generation, recovered, takeovers: [], sealed };
  } catch (error) {
    control.close();
    throw error;
  }
}

/** The head table lies in a file: of a store that is encrypted it has no names. */
function veilOf({ keys = null }: AttachPlace): NameVeil | null {
  return keys === null ? null : (name) => keys.veil(name);
}

/** Readers that still follow the incarnation before learn that it is over. */
function endOldControl({ directory, io }: AttachPlace): void {
  let control: ControlFile;
  try {
    control = ControlFile.open(directory, null, "write");
  } catch {
    return; // none, or one of another version: nobody follows it
  }
  control.end();
  io.wake(control.file, control.turnOffset);
  control.close();
}

/** A key that is new is named by the manifest before anything is written with it. */
async function enterKeys({ directory, keys = null }: AttachPlace, manifest: Manifest): Promise<Manifest> {
  adoptKeys(keys, manifest, directory);
  const entered = await changeManifest(directory, (current) => withCurrentKey(current, keys));
  adoptKeys(keys, entered, directory);
  return entered;
}

async function beside(place: AttachPlace, free: OwnerLock[], heldCores: readonly number[]): Promise<Attachment> {
  const { directory } = place;
  const manifest = await enterKeys(place, await currentManifest(directory));
  const storeId = Buffer.from(manifest.storeId, "hex");
  const incarnation = manifest.incarnations.at(-1)?.incarnation ?? 0;
  const control = ControlFile.open(directory, storeId, "write");
  let sealed: SealedLog | null = null;
  try {
    sealed = await openSealedTier(place, manifest);
    if (control.incarnation !== incarnation || control.isEnded) {
      const message = `the control file is of incarnation ${control.incarnation}, the log of ${incarnation}`;
      throw new StoreError("ERR_WAL_CORRUPT", message, { path: ControlFile.path(directory) });
    }
    if (control.poisonedBy >= 0) {
      const message = `a write of core ${control.poisonedBy} has failed; the store is recovered when every writer has closed it`;
      throw new StoreError("ERR_WAL_FAILED", message, { directory, core: control.poisonedBy });
    }
    if (heldCores.length >= Math.min(place.maxWriters, control.slotCount)) {
      const message = `the store in ${directory} has ${heldCores.length} writers already`;
      throw new StoreError("ERR_STORE_WRITERS", message, { directory, writers: heldCores.length });
    }
    const takeovers = await takeOverDead({ ...place, storeId, control }, free, heldCores);
    let core = 0;
    // Also past the dead that could not be taken over yet.
    while (core < control.slotCount && (heldCores.includes(core) || control.isLive(core))) core++;
    if (core >= control.slotCount) {
      const message = `every slot of the store in ${directory} is taken, by writers or by what the dead have left`;
      throw new StoreError("ERR_STORE_BUSY", message, { directory });
    }
    const owner = lockOf(directory, core, free);
    const me = { slot: core, generation: control.generationOf(core) + 1 };
    const heads = HeadTable.attach(directory, me, veilOf(place));
    const generation = control.attach(core, process.pid);
    return { storeId, manifest, control, heads, owner, generation, recovered: null, takeovers, sealed };
  } catch (error) {
    control.close();
    await sealed?.close();
    throw error;
  }
}

/** Their owner locks are kept in `free` until this opening ends: nobody else takes them over. */
async function takeOverDead(
  place: AttachPlace & Pick<TakeoverPlace, "storeId" | "control">,
  free: OwnerLock[],
  heldCores: readonly number[],
): Promise<readonly TakeoverReport[]> {
  const { control, directory } = place;
  const dead = Array.from({ length: control.attachedCount }, (_, slot) => slot).filter(
    (slot) => control.isLive(slot) && !heldCores.includes(slot),
  );
  const [first] = dead;
  if (first === undefined) return [];
  for (const slot of dead) lockOf(directory, slot, free);
  // As the first of the dead: what that one has locked in the table is broken before the others' is asked for.
  const heads = HeadTable.attach(directory, { slot: first, generation: control.generationOf(first) }, veilOf(place));
  try {
    return (await takeOver({ ...place, heads }, dead)).filter(isWorthTelling);
  } finally {
    heads.close();
  }
}
