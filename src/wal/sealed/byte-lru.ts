/** What was read last, up to a number of bytes; the least recently used goes first. */

export class ByteLru<Value extends { readonly memoryBytes: number }> {
  readonly #byteLengthMax: number;
  readonly #values = new Map<number, Value>();
  #byteLength = 0;

  constructor(byteLengthMax: number) {
    this.#byteLengthMax = byteLengthMax;
  }

  get byteLength(): number {
    return this.#byteLength;
  }

  get(key: number): Value | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    // A Map is in the order of insertion.
    this.#values.delete(key);
    this.#values.set(key, value);
    return value;
  }

  set(key: number, value: Value): void {
    this.delete(key);
    if (value.memoryBytes > this.#byteLengthMax) return;
    this.#values.set(key, value);
    this.#byteLength += value.memoryBytes;
    for (const oldest of this.#values.keys()) {
      if (this.#byteLength <= this.#byteLengthMax) break;
      this.delete(oldest);
    }
  }

  delete(key: number): void {
    const value = this.#values.get(key);
    if (value === undefined) return;
    this.#values.delete(key);
    this.#byteLength -= value.memoryBytes;
  }

  clear(): void {
    this.#values.clear();
    this.#byteLength = 0;
  }
}
