/**
 * Where a key comes from: a file, the environment, or a function that asks a key service. Its 32 bytes go into secret memory.
 *
 * A file is read into secret memory at once, and what a function returns is zeroed when it was copied. The environment of a process is
 * for anybody to read who may look into the process, before and after: a key in it is as safe as that.
 */

import { closeSync, openSync, readSync } from "node:fs";
import { StoreError } from "../../errors.js";
import { KEY_BYTES } from "./hkdf.js";

/**
 * A file of 32 bytes, or of 64 hexadecimal digits; the name of an environment variable of 64 hexadecimal digits; or a function that gives
 * 32 bytes, or a promise of them. The array that it gives is zeroed.
 */
export type KeySource = { readonly file: string } | { readonly env: string } | (() => Uint8Array | Promise<Uint8Array>);

const HEX_DIGITS = 2 * KEY_BYTES;
/** The digits and the end of a line: more is no key. */
export const KEY_TEXT_BYTES: number = HEX_DIGITS + 2;

/** @throws TypeError naming the option */
export function checkKeySource(source: unknown, name: string): asserts source is KeySource {
  if (typeof source === "function") return;
  if (typeof source === "object" && source !== null && Object.keys(source).length === 1) {
    const { file, env } = source as { file?: unknown; env?: unknown };
    const text = file ?? env;
    if (typeof text === "string" && text !== "") return;
  }
  throw new TypeError(`option ${name} must be { file }, { env } or a function`);
}

/** Pieces of secret memory: where the key goes, and room for its text, which is zeroed in the end. */
export interface KeyPlace {
  readonly target: Buffer;
  readonly scratch: Buffer;
}

/**
 * Fills the place with the key. It is asked for when the key is there, and may throw: whoever waits for a key service can have closed the store
 * meanwhile, and its memory is gone then.
 *
 * @throws StoreError `ERR_KEY_MISSING` where there is nothing, `ERR_KEY_WRONG` where there is no key; TypeError for what a function gives
 */
export async function loadKey(source: KeySource, placeOf: () => KeyPlace): Promise<void> {
  const given = typeof source === "function" ? await askFunction(source) : null;
  try {
    const { target, scratch } = placeOf();
    try {
      if (given !== null) takeGiven(given, target);
      else if (typeof source !== "function" && "file" in source) loadFromFile(source.file, target, scratch);
      else if (typeof source !== "function") loadFromEnvironment(source.env, target, scratch);
    } catch (error) {
      target.fill(0);
      throw error;
    } finally {
      scratch.fill(0);
    }
  } finally {
    given?.fill(0);
  }
}

function loadFromFile(path: string, target: Buffer, scratch: Buffer): void {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (cause) {
    throw new StoreError("ERR_KEY_MISSING", `the key file ${path} cannot be opened`, { path }, { cause });
  }
  try {
    let byteLength = 0;
    // One byte more than a key can have, so that a longer file is not taken for one.
    for (let read = -1; read !== 0 && byteLength < scratch.length; byteLength += read) {
      read = readSync(fd, scratch, byteLength, scratch.length - byteLength, byteLength);
    }
    const isKey = byteLength === KEY_BYTES ? copyKey(target, scratch) : parseHex(target, scratch, byteLength);
    if (!isKey) throw noKey(`the file ${path}`);
  } catch (error) {
    if (error instanceof StoreError) throw error;
    throw new StoreError("ERR_KEY_MISSING", `the key file ${path} cannot be read`, { path }, { cause: error });
  } finally {
    closeSync(fd);
  }
}

function copyKey(target: Buffer, source: Buffer): boolean {
  source.copy(target, 0, 0, KEY_BYTES);
  return true;
}

function loadFromEnvironment(name: string, target: Buffer, scratch: Buffer): void {
  const text = process.env[name];
  if (text === undefined || text === "") {
    throw new StoreError("ERR_KEY_MISSING", `the environment has no key in ${name}`, { variable: name });
  }
  if (text.length > KEY_TEXT_BYTES || !parseHex(target, scratch, scratch.write(text, "latin1"))) {
    throw noKey(`the environment variable ${name}`);
  }
}

async function askFunction(source: () => Uint8Array | Promise<Uint8Array>): Promise<Uint8Array> {
  let key: unknown;
  try {
    key = await source();
  } catch (cause) {
    throw new StoreError("ERR_KEY_MISSING", "the function that gives the key failed", {}, { cause });
  }
  if (key instanceof Uint8Array) return key;
  throw new TypeError("the function that gives a key must give a Uint8Array");
}

function takeGiven(key: Uint8Array, target: Buffer): void {
  if (key.length !== KEY_BYTES) throw noKey("what the function gave");
  target.set(key);
}

/** Without strings: those would stay on the heap. Ends of lines may follow the digits. */
function parseHex(target: Buffer, text: Buffer, byteLength: number): boolean {
  if (byteLength < HEX_DIGITS || byteLength > KEY_TEXT_BYTES) return false;
  for (let at = HEX_DIGITS; at < byteLength; at++) if (text[at] !== 0x0a && text[at] !== 0x0d) return false;
  for (let at = 0; at < KEY_BYTES; at++) {
    const high = digitOf(text[2 * at] as number);
    const low = digitOf(text[2 * at + 1] as number);
    if (high < 0 || low < 0) return false;
    target[at] = high * 16 + low;
  }
  return true;
}

function digitOf(character: number): number {
  if (character >= 0x30 && character <= 0x39) return character - 0x30;
  const letter = character | 0x20; // lower case
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : -1;
}

function noKey(what: string): StoreError {
  return new StoreError("ERR_KEY_WRONG", `${what} is no key: 32 bytes, or 64 hexadecimal digits`);
}
