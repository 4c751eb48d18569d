/** The hash chain's value at any LSN: what two copies of a log have in common they have in common exactly up to where it is the same. */

import type { StoreKeys } from "../crypt/store-keys.js";
import { CHAIN_START, HashChain } from "../sealed/hash-chain.js";
import type { SealedLog } from "../sealed/sealed-log.js";

/** In hexadecimal; null where no frame ends at that LSN, or it is not sealed any more. Reads one segment at most. */
export async function chainValueAt(sealed: SealedLog, lsn: number, keys: StoreKeys | null): Promise<string | null> {
  if (lsn === 0) return CHAIN_START;
  const segment = sealed.segments.find(({ firstLsn, lastLsn }) => firstLsn <= lsn && lsn <= lastLsn);
  if (segment === undefined) return null;
  if (segment.lastLsn === lsn) return segment.trailer.hash.toString("hex");
  const chain = new HashChain(segment.trailer.hashBefore, keys);
  let end = 0;
  for await (const run of sealed.runs(segment.firstLsn - 1, lsn)) {
    chain.add(run);
    end = run.header.firstLsn + run.header.recordCount - 1;
  }
  return end === lsn && !chain.isOpen ? chain.value.toString("hex") : null;
}
