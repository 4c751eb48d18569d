/** How a writer goes: in order, with nothing pending; failed, with something for others to judge; or before it ever wrote. */

import type { BlockIo } from "../ffi/index.js";
import type { AttachLock } from "./attach-lock.js";
import type { Attachment } from "./attachment.js";
import type { ControlFile } from "./control-file.js";
import { endIncarnation } from "./manifest-change.js";
import { asStoreError, isLackOfSpace } from "./write-failure.js";

/** The last to go ends the incarnation. Who failed leaves the slot live: what it had pending is for a survivor or for recovery. */
export async function detach(
  directory: string,
  { control, owner }: Attachment,
  io: BlockIo,
  isClean: boolean,
  takeAttachLock: () => Promise<AttachLock | null>,
): Promise<void> {
  let lock: AttachLock | null = null;
  try {
    lock = await takeAttachLock();
    if (isClean) control.detach(owner.core);
    // What others have written since this one looked last counts too. With something pending it is for recovery to say where it ends.
    const lastLsn = control.lanes.advanceWatermark();
    if (isClean && !hasLiveCores(control) && lastLsn === control.counter) {
      await endLog(directory, lastLsn);
      control.end();
    }
    if (control.hasSleepers(owner.core)) io.wake(control.file, control.turnOffset);
  } finally {
    owner.release();
    lock?.release();
  }
}

function hasLiveCores(control: ControlFile): boolean {
  for (let core = 0; core < control.attachedCount; core++) if (control.isLive(core)) return true;
  return false;
}

async function endLog(directory: string, lastLsn: number): Promise<void> {
  try {
    await endIncarnation(directory, lastLsn);
  } catch (error) {
    // On a full disk it stays undone: the manifest would only have said what the log says itself.
    if (!isLackOfSpace(asStoreError(error))) throw error;
  }
}

/** Opening failed after the attach: nobody else may take this for a living writer, nor for a dead one with something pending. */
export function leave({ control, heads, owner }: Attachment): void {
  control.detach(owner.core);
  if (control.attachedCount === 1) control.end();
  heads.close();
  control.close();
  owner.release();
}
