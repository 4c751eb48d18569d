/** Whose files these are, where no manifest says it: the id that most of them have. */

import { BLOCK_BYTES } from "../../ffi/index.js";
import { decodeFrameHeader, decodePreamble, PREAMBLE_BYTES, STORE_ID_BYTES } from "../format.js";
import { decodeSealedPreamble, PAGE_BYTES } from "../sealed/sealed-format.js";
import { decodeTrailer } from "../sealed/sealed-trailer.js";
import { SalvageFile } from "./salvage-file.js";

/** Blocks at the beginning of a segment that are looked at for a header, where its preamble is damaged. */
const BLOCKS_LOOKED_AT = 256;

/** Hexadecimal; null where no file says it. */
export async function findStoreId(paths: readonly string[]): Promise<string | null> {
  const votes = new Map<string, number>();
  for (const path of paths) {
    const id = await idIn(path).catch(() => null); // what cannot be opened says nothing
    if (id !== null) votes.set(id, (votes.get(id) ?? 0) + 1);
  }
  let best: string | null = null;
  for (const [id, count] of votes) if (best === null || count > (votes.get(best) ?? 0)) best = id;
  return best;
}

async function idIn(path: string): Promise<string | null> {
  const file = await SalvageFile.open(path);
  try {
    return path.endsWith(".seal") ? await idInSegment(file) : await idInFrames(file);
  } finally {
    await file.close();
  }
}

async function idInSegment(file: SalvageFile): Promise<string | null> {
  const idAt = (page: Buffer): Buffer => Buffer.from(page.subarray(8, 8 + STORE_ID_BYTES));
  const first = await file.read(0, PAGE_BYTES);
  if (decodeSealedPreamble(first, idAt(first)).kind === "preamble") return idAt(first).toString("hex");
  const last = await file.read(Math.max(0, file.byteLength - PAGE_BYTES), PAGE_BYTES);
  return decodeTrailer(last, idAt(last), file.byteLength).kind === "trailer" ? idAt(last).toString("hex") : null;
}

async function idInFrames(file: SalvageFile): Promise<string | null> {
  const decoded = decodePreamble(await file.read(0, PREAMBLE_BYTES));
  if (decoded.kind === "preamble") return Buffer.from(decoded.preamble.storeId).toString("hex");
  for (let block = 1; block <= BLOCKS_LOOKED_AT && block * BLOCK_BYTES < file.byteLength; block++) {
    const header = decodeFrameHeader(await file.read(block * BLOCK_BYTES, BLOCK_BYTES));
    if (header.kind === "frame") return Buffer.from(header.header.storeId).toString("hex");
  }
  return null;
}
