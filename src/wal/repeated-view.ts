/**
 * A view of memory that is used again and again, as that of a batch or of a frame whose records are looked at one after the other. Made at
 * second sight, because making one costs as much as it saves once.
 */
export class RepeatedView {
  #memory: Uint8Array | null = null;
  #view: DataView | null = null;

  /** Null: this memory was not asked for last time. */
  of(memory: Uint8Array): DataView | null {
    if (memory === this.#memory) {
      this.#view ??= viewOf(memory);
    } else {
      this.#memory = memory;
      this.#view = null;
    }
    return this.#view;
  }
}

export function viewOf(memory: Uint8Array): DataView {
  return new DataView(memory.buffer, memory.byteOffset, memory.length);
}
