/** A value to bytes and back, and JSON for those who give none. */

/** How a state or a document is kept. `decode` must give back what `encode` was given. */
export interface StateCodec<Value> {
  encode(value: Value): Uint8Array;
  decode(bytes: Uint8Array): Value;
}

/**
 * The JSON of a value, as UTF-8. Refuses what would come back as something else (a `Map`, a `Date`, `NaN`, an object of a class), because a state
 * that differs only after a restart is found by nobody. A field that is undefined is left out.
 */
export function jsonCodec<Value>(): StateCodec<Value> {
  return {
    encode: (value) => {
      assertJson(value, "the state");
      return Buffer.from(JSON.stringify(value));
    },
    decode: (bytes) =>
      JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8")) as Value,
  };
}

/** The definition's codec, or JSON. @throws TypeError */
export function codecOf<Value>(codec: StateCodec<Value> | undefined, where: string): StateCodec<Value> {
  if (codec === undefined) return jsonCodec();
  for (const method of ["encode", "decode"] as const) {
    if (typeof (codec as StateCodec<Value> | null)?.[method] !== "function") {
      throw new TypeError(`${where}.${method} must be a function`);
    }
  }
  return codec;
}

/** @throws TypeError naming the place of what JSON cannot hold */
function assertJson(value: unknown, place: string): void {
  switch (typeof value) {
    case "string":
    case "boolean":
      return;
    case "number":
      if (Number.isFinite(value)) return;
      break;
    case "object":
      if (value === null) return;
      if (Array.isArray(value)) {
        // Not `forEach`, which skips holes.
        for (let index = 0; index < value.length; index++) assertJson(value[index], `${place}[${index}]`);
        return;
      }
      if (isPlain(value)) {
        for (const [key, item] of Object.entries(value)) {
          if (item !== undefined) assertJson(item, `${place}.${key}`);
        }
        return;
      }
      break;
    default:
      break;
  }
  throw new TypeError(`${place} is ${nameOf(value)}, which JSON does not keep: give encode and decode`);
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  // `toJSON` would put something else in its place.
  return (prototype === Object.prototype || prototype === null) && !("toJSON" in value);
}

function nameOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  return `a ${value.constructor?.name ?? "special object"}`;
}
