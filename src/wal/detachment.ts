/** How a writer gives its place in a store back. attachment.ts is how it got it. */

import type { BlockIo } from "../ffi/index.js";
import type { AttachLock } from "./attach-lock.js";
import type { Attachment } from "./attachment.js";
import { endIncarnation } from "./manifest-change.js";
import { asStoreError, isLackOfSpace } from "./write-failure.js";

export interface Leaving {
  readonly directory: string;
  readonly io: BlockIo;
  /** Everything that it wrote is durable. */
  readonly isClean: boolean;
  /** Null for an exclusive opener, who has it. */
  readonly takeAttachLock: () => Promise<AttachLock | null>;
}

/** The last to go ends the incarnation. Who failed leaves the slot live: what it had pending is for a survivor or for recovery. */
export async function detach({ control, owner }: Attachment, leaving: Leaving): Promise<void> {
  const { directory, io, isClean, takeAttachLock } = leaving;
  let lock: AttachLock | null = null;
  try {
    lock = await takeAttachLock();
    if (isClean) control.detach(owner.core);
    const isLast = !Array.from({ length: control.attachedCount }, (_, core) => core).some((core) =>
      control.isLive(core),
    );
    // What others have written since this one looked last counts too. With something pending it is for recovery to say where it ends.
    const lastLsn = control.lanes.advanceWatermark();
    if (isClean && isLast && lastLsn === control.counter) {
      await endWhereThereIsRoom(directory, lastLsn);
      control.end();
    }
    if (control.hasSleepers(owner.core)) io.wake(control.file, control.turnOffset);
  } finally {
    owner.release();
    lock?.release();
  }
}

async function endWhereThereIsRoom(directory: string, lastLsn: number): Promise<void> {
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
