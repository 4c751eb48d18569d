/**
 * Lies that hold their checksums: fields of headers and pages changed, and their CRCs computed anew. What follows from one nobody can promise, but that it
 * is an answer or a refusal with a code.
 */

import { crc32 } from "node:zlib";
import { checksum } from "../../src/wal/checksum.js";
import { BLOCK_HEADER_BYTES, PAGE_BYTES, sealPage, storeCrcOf } from "../../src/wal/sealed/sealed-format.js";
import type { SeededRandom } from "../support/seeded-random.js";
import type { FuzzStore } from "./fuzz-store.js";
import type { Mutation } from "./mutation.js";

const WAL_BLOCK_BYTES = 4096;
const HEADER_CRC_AT = 188;
const PREAMBLE_CRC_AT = 88;
const BLOCK_CRC_AT = 60;
const EXTREMES = [0, 1, 2, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 4095, 4096, 4097];

function lie(bytes: Buffer, from: number, end: number, random: SeededRandom): string {
  const at = from + 2 * random.integer(Math.floor((end - from - 4) / 2) + 1);
  const value = random.integer(3) === 0 ? random.integer(2 ** 32) : random.pick(EXTREMES);
  bytes.writeUInt32LE(value, at);
  return `${value} at ${at}`;
}

type Forge = (bytes: Buffer, random: SeededRandom) => string;

function frameHeader(offset: number): Forge {
  return (bytes, random) => {
    const told = lie(bytes, offset + 4, offset + HEADER_CRC_AT, random);
    bytes.writeUInt32LE(checksum(bytes, offset, offset + HEADER_CRC_AT), offset + HEADER_CRC_AT);
    return told;
  };
}

const walPreamble: Forge = (bytes, random) => {
  const told = lie(bytes, 4, PREAMBLE_CRC_AT, random);
  bytes.writeUInt32LE(checksum(bytes, 0, PREAMBLE_CRC_AT), PREAMBLE_CRC_AT);
  return told;
};

/** A page that ends with its CRC: the lie lies where it has something. */
function page(offset: number, seed: number): Forge {
  return (bytes, random) => {
    const whole = bytes.subarray(offset, offset + PAGE_BYTES);
    const used = whole.subarray(0, PAGE_BYTES - 4).findLastIndex((byte) => byte !== 0) + 1;
    const told = lie(bytes, offset + 4, offset + Math.min(PAGE_BYTES - 4, Math.max(32, used + 8)), random);
    sealPage(whole, seed);
    return told;
  };
}

/** Of a block's header, or of the runs in its body. */
function block(offset: number, storeCrc: number): Forge {
  return (bytes, random) => {
    const storedBytes = bytes.readUInt32LE(offset + 44);
    const bodyEnd = offset + BLOCK_HEADER_BYTES + storedBytes;
    const isBody = random.integer(2) === 0;
    const told = isBody
      ? lie(bytes, offset + BLOCK_HEADER_BYTES, bodyEnd, random)
      : lie(bytes, offset + 4, offset + 56, random);
    if (isBody) bytes.writeUInt32LE(crc32(bytes.subarray(offset + BLOCK_HEADER_BYTES, bodyEnd)), offset + 56);
    bytes.writeUInt32LE(crc32(bytes.subarray(offset, offset + BLOCK_CRC_AT), storeCrc), offset + BLOCK_CRC_AT);
    return told;
  };
}

/** What of the file can be forged. */
function forgesOf(file: string, bytes: Buffer): Forge[] {
  const forges: Forge[] = [];
  if (file.endsWith(".wal")) {
    forges.push(walPreamble);
    for (let offset = WAL_BLOCK_BYTES; offset < bytes.length; offset += WAL_BLOCK_BYTES)
      if (bytes.toString("latin1", offset, offset + 4) === "VRVF") forges.push(frameHeader(offset));
  }
  if (!file.endsWith(".seal")) return forges;
  const storeCrc = storeCrcOf(bytes.subarray(8, 24));
  for (let at = bytes.indexOf("VRVB"); at >= 0; at = bytes.indexOf("VRVB", at + 1)) forges.push(block(at, storeCrc));
  for (let offset = 0; offset < bytes.length; offset += PAGE_BYTES) {
    const magic = bytes.toString("latin1", offset, offset + 4);
    if (magic === "VRVP" || magic === "VRVT") forges.push(page(offset, 0));
    if (/^VRV[LNO]$/.test(magic)) forges.push(page(offset, storeCrc));
  }
  return forges;
}

/** So many for each header and page; below 1, for so many of them. */
export function* forgeriesOf(store: FuzzStore, random: SeededRandom, perPlace: number): Generator<Mutation> {
  for (const [file, original] of store.files) {
    for (const forge of forgesOf(file, original)) {
      const count = perPlace < 1 ? Number(random.next() < perPlace) : perPlace;
      for (let round = 0; round < count; round++) {
        const bytes = Buffer.from(original);
        const told = forge(bytes, random);
        yield { kind: "forged", label: `${told} of ${file}`, changes: [{ file, kind: "content", bytes }] };
      }
    }
  }
}
