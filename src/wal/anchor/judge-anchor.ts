/** Whether a store has the history that an anchor is of. Its sealed tier was verified: the chain is that of what is there. */

import { StoreError } from "../../errors.js";
import { CHAIN_START } from "../sealed/hash-chain.js";
import type { Anchor } from "./anchor.js";
import type { ChainFinding } from "./chain-mark.js";

/** What was found in the store. */
export interface AnchoredLog {
  readonly storeId: string;
  /** The last LSN that is sealed. */
  readonly sealedLsn: number;
  /** The last LSN of the log. */
  readonly lastLsn: number;
  readonly horizon: number;
  /** At the anchor's LSN. */
  readonly found: ChainFinding;
}

/** @throws StoreError `ERR_ANCHOR_FOREIGN` */
export function assertOwnAnchor(anchor: Anchor, storeId: string): void {
  if (anchor.storeId === storeId) return;
  const message = `the anchor is of the store ${anchor.storeId}, and this one is ${storeId}`;
  throw new StoreError("ERR_ANCHOR_FOREIGN", message, { storeId, anchorStoreId: anchor.storeId });
}

/**
 * Returns where the store has the anchor's value at the anchor's LSN.
 *
 * An anchor is made of what is sealed, and what is sealed stays so. So a store that has sealed less than the anchor says is an older one, even
 * where its log goes on to that LSN; nothing can be compared there, for the chain is over sealed frames only.
 *
 * @throws StoreError `ERR_ANCHOR_FOREIGN`, `ERR_ANCHOR_ROLLED_BACK`, `ERR_ANCHOR_FORKED`, `ERR_LOG_TRUNCATED`
 */
export function judgeAnchor(anchor: Anchor, log: AnchoredLog): void {
  assertOwnAnchor(anchor, log.storeId);
  const { lsn, hash } = anchor;
  const { sealedLsn, lastLsn, horizon, found } = log;
  if (lsn > sealedLsn) throw rolledBack(lsn, sealedLsn, lastLsn);
  const value = lsn === 0 ? { kind: "value" as const, hash: CHAIN_START } : found;
  switch (value.kind) {
    case "dropped": {
      const message = `the anchor is of LSN ${lsn}, and everything up to LSN ${horizon} was dropped by a truncation: it cannot be compared any more`;
      throw new StoreError("ERR_LOG_TRUNCATED", message, { lsn, horizon });
    }
    case "inside":
      throw forked(`no write of this store ends at LSN ${lsn}`, lsn, "");
    case "value":
      if (value.hash === hash) return;
      throw forked(`this store has other events up to LSN ${lsn}`, lsn, value.hash);
  }
}

function rolledBack(lsn: number, sealedLsn: number, lastLsn: number): StoreError {
  const isShort = lsn > lastLsn;
  const what = isShort
    ? `this store ends at LSN ${lastLsn}`
    : `this store has sealed only up to LSN ${sealedLsn}, which was more then: it is an older copy, whose log goes on to LSN ${lastLsn}. After a checkpoint both can be compared`;
  const message = `the anchor is of LSN ${lsn}, and ${what}`;
  const reason = isShort ? "ends-before" : "sealed-less";
  return new StoreError("ERR_ANCHOR_ROLLED_BACK", message, { reason, lsn, sealedLsn, lastLsn });
}

function forked(what: string, lsn: number, storeHash: string): StoreError {
  const message = `${what}, so its history is not the one that the anchor is of`;
  return new StoreError("ERR_ANCHOR_FORKED", message, { lsn, storeHash });
}
