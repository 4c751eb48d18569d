/**
 * The control file of a store that somebody may be writing, as a reader has it: W, and news, without a slot.
 *
 * A reader changes nothing in it but the count of those who sleep. Where it may not even do that, or nobody writes, there is none, and who
 * reads looks at the files instead.
 */

import type { BlockIo } from "../ffi/index.js";
import { ControlFile, type CoreState } from "./control-file.js";
import type { CoreTail } from "./core-cursor.js";
import type { ScanPosition } from "./log-facts.js";
import { ProgressWatch } from "./progress-watch.js";

export interface LiveCallbacks {
  readonly onNews: () => void;
  readonly hasListeners: () => boolean;
}

export class LiveControl {
  readonly #directory: string;
  readonly #io: BlockIo;
  readonly #callbacks: LiveCallbacks;
  #control: ControlFile | null = null;
  #watch: ProgressWatch | null = null;
  /** Mapped until the end: something may sleep on them. */
  readonly #ended: ControlFile[] = [];

  constructor(directory: string, io: BlockIo, callbacks: LiveCallbacks) {
    this.#directory = directory;
    this.#io = io;
    this.#callbacks = callbacks;
  }

  /** Looks for the control file of this incarnation, and lets one go that is over. */
  follow(storeId: Uint8Array, incarnation: number): void {
    const current = this.#control;
    if (current !== null && !current.isEnded && current.incarnation === incarnation) return;
    if (current !== null) {
      this.#watch?.close();
      this.#ended.push(current);
      this.#control = null;
      this.#watch = null;
    }
    const control = openLive(this.#directory, storeId, incarnation);
    if (control === null) return;
    this.#control = control;
    this.#watch = new ProgressWatch(this.#io, control, -1, {
      ...this.#callbacks,
      onStall: () => {},
      hasWaiters: () => false,
    });
    this.#watch.arm();
  }

  /** Whether somebody tells of news. */
  get isLive(): boolean {
    return this.#control !== null && !this.#control.isEnded;
  }

  /** W; null where nobody tells. */
  get watermark(): number | null {
    return this.#control?.lanes.watermark() ?? null;
  }

  /** Of the writers that tell; null where nobody does. */
  get incarnation(): number | null {
    return this.isLive ? (this.#control?.incarnation ?? null) : null;
  }

  /** Sequence number of the manifest that last changed what is sealed, as far as anybody told of it. */
  get sealingSequence(): number {
    return this.#control?.sealingSequence ?? 0;
  }

  /**
   * Where the writers are; null where nobody tells. Never before what was found in the files: a control file that outlived a power cut tells of
   * some moment before, until somebody opens the store for writing.
   */
  tails({ cores }: Pick<ScanPosition, "cores">): CoreTail[] | null {
    if (!this.isLive || this.#control === null) return null;
    return this.#control.tails().map((tail) => {
      const at = cores.get(tail.core);
      if (at === undefined || !isBefore(tail, at)) return tail;
      return { core: tail.core, segment: at.segment, endOffset: at.fileOffset };
    });
  }

  cores(): CoreState[] {
    const control = this.#control;
    if (control === null) return [];
    return Array.from({ length: control.attachedCount }, (_, core) => control.coreState(core));
  }

  /** Somebody has begun to listen. */
  arm(): void {
    this.#watch?.arm();
  }

  /** Nothing is told any more. */
  stop(): void {
    this.#watch?.close();
    this.#watch = null;
  }

  /** Unmaps everything; the I/O is closed. */
  close(): void {
    this.#control?.close();
    for (const control of this.#ended.splice(0)) control.close();
    this.#control = null;
  }
}

function isBefore(tail: CoreTail, found: { readonly segment: number; readonly fileOffset: number }): boolean {
  return tail.segment < found.segment || (tail.segment === found.segment && tail.endOffset < found.fileOffset);
}

function openLive(directory: string, storeId: Uint8Array, incarnation: number): ControlFile | null {
  let control: ControlFile;
  try {
    control = ControlFile.open(directory, storeId, "write");
  } catch {
    return null; // there is none, or it may not be written, or another version made it
  }
  if (!control.isEnded && control.incarnation === incarnation) return control;
  control.close();
  return null;
}
