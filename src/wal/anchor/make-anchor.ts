/** Makes an anchor of a store that is open: a checkpoint, and the value with which the chain ends then. */

import type { KeyObject } from "node:crypto";
import { StoreError } from "../../errors.js";
import { currentManifest } from "../manifest-change.js";
import { checkOptionNames } from "../options.js";
import { type SealingLog, sealThroughNow } from "../seal-through.js";
import { CHAIN_START } from "../sealed/hash-chain.js";
import { coded } from "../write-failure.js";
import { ANCHOR_VERSION, type Anchor } from "./anchor.js";
import { type Ed25519Key, signedAnchor, signingKey } from "./anchor-signature.js";

export interface AnchorPlace extends SealingLog {
  /** The store's. */
  readonly directory: string;
}

/** How an anchor is made. */
export interface AnchorOptions {
  /** Signs it: an Ed25519 private key, or its PEM. Default: it is not signed. */
  readonly signWith?: Ed25519Key;
}

/** @throws TypeError naming the option */
export function checkAnchorOptions(options: AnchorOptions): KeyObject | null {
  checkOptionNames(options, ["signWith"], "anchor");
  return options.signWith === undefined ? null : signingKey(options.signWith);
}

/** Of everything that was acknowledged when it was asked for, and of what others have sealed since. */
export function makeAnchor(place: AnchorPlace, key: KeyObject | null): Promise<Anchor> {
  return coded(() => anchorNow(place, key));
}

async function anchorNow(place: AnchorPlace, key: KeyObject | null): Promise<Anchor> {
  await sealThroughNow(place);
  const { storeId, checkpointLsn, sealed } = await currentManifest(place.directory);
  const last = sealed.at(-1);
  if ((last?.lastLsn ?? 0) !== checkpointLsn) {
    const message = `the manifest of ${place.directory} lists no sealed segment up to LSN ${checkpointLsn}`;
    throw new StoreError("ERR_WAL_CORRUPT", message, { directory: place.directory, lsn: checkpointLsn });
  }
  const at = Date.now() * 1000;
  const anchor = { version: ANCHOR_VERSION, storeId, lsn: checkpointLsn, hash: last?.hash ?? CHAIN_START, at } as const;
  return key === null ? anchor : signedAnchor(anchor, key);
}
