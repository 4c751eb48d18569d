/**
 * What was read lately, up to a number of bytes.
 *
 * Two generations of half the size each: what is used moves into the young one; when that is full it becomes the old one, and what nobody
 * used since then goes. So a hit in the young one changes nothing, which matters when forty of them answer one read.
 */

export class ByteLru<Value extends { readonly memoryBytes: number }> {
  readonly #generationBytesMax: number;
  #young = new Map<number, Value>();
  #old = new Map<number, Value>();
  #youngBytes = 0;
  #oldBytes = 0;

  constructor(byteLengthMax: number) {
    this.#generationBytesMax = byteLengthMax / 2;
  }

  get byteLength(): number {
    return this.#youngBytes + this.#oldBytes;
  }

  get(key: number): Value | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.#old.delete(key);
    this.#oldBytes -= old.memoryBytes;
    this.#add(key, old);
    return old;
  }

  /** Keeps a value that is not kept. One that alone would fill a generation is not kept at all. */
  set(key: number, value: Value): void {
    if (this.get(key) === undefined && value.memoryBytes <= this.#generationBytesMax) this.#add(key, value);
  }

  #add(key: number, value: Value): void {
    if (this.#youngBytes + value.memoryBytes > this.#generationBytesMax) {
      this.#old = this.#young;
      this.#oldBytes = this.#youngBytes;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(key, value);
    this.#youngBytes += value.memoryBytes;
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#youngBytes = 0;
    this.#oldBytes = 0;
  }
}
