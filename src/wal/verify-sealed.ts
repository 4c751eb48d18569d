/** Reads every byte of the sealed tier and checks it: each segment by itself, and that they are one chain up to the checkpoint. */

import type { BlockIo } from "../ffi/index.js";
import { type Anchor, parseAnchor } from "./anchor/anchor.js";
import { checkSignature, type Ed25519Key, verifyingKey } from "./anchor/anchor-signature.js";
import { ChainMark } from "./anchor/chain-mark.js";
import { assertOwnAnchor, judgeAnchor } from "./anchor/judge-anchor.js";
import type { StoreKeys } from "./crypt/store-keys.js";
import type { Manifest } from "./manifest.js";
import { currentManifest } from "./manifest-change.js";
import { checkOptionNames } from "./options.js";
import type { KeyOf } from "./record-key.js";
import { CHAIN_START, type HashChain } from "./sealed/hash-chain.js";
import { sealedDamage } from "./sealed/sealed-damage.js";
import { entryOf } from "./sealed/sealed-entry.js";
import type { SealedRun } from "./sealed/sealed-format.js";
import { sealedDirectory, sealedPath } from "./sealed/sealed-name.js";
import { verifySegment } from "./sealed/verify-segment.js";
import { checkSealedRange } from "./sealed-tier.js";

/** What was verified. */
export interface SealedVerification {
  readonly segments: number;
  /** The last LSN that is sealed. */
  readonly lastLsn: number;
  /** Records that are left, those below the horizon included. */
  readonly records: number;
  /** LSNs of which the record was removed. */
  readonly removedLsns: number;
  /** The last LSN that a truncation of the log has dropped; 0: none. */
  readonly horizon: number;
  /** Records up to the horizon: of streams that nothing is dropped of. */
  readonly sparedRecords: number;
  /** LSNs that dead writers took with them. */
  readonly voidLsns: number;
  /** The anchor that the store was held against, and has the history of; null: none was given. */
  readonly anchor: VerifiedAnchor | null;
}

/** An anchor whose LSN has the anchor's value in the store. */
export interface VerifiedAnchor {
  readonly lsn: number;
  /** When it was made, in µs since 1970. */
  readonly at: number;
  /** The raw public key, in base64, whose signature holds; null: it is not signed. */
  readonly signedBy: string | null;
  /** Whether that is the key that was given. Else anybody can have signed it. */
  readonly isTrusted: boolean;
}

/** What a store is held against. */
export interface VerifySealedOptions {
  /** As `store.anchor()` resolved with it: the store must have that history. */
  readonly anchor?: Anchor;
  /** The Ed25519 key that the anchor must be signed by, or its PEM. Only with `anchor`. */
  readonly publicKey?: Ed25519Key;
}

export interface VerifyPlace {
  readonly io: BlockIo;
  /** The store's. */
  readonly directory: string;
  readonly keyOf: KeyOf;
  /** Of a store that is encrypted. */
  readonly keys?: StoreKeys | null;
  /** The last LSN of the log. */
  readonly lastLsn: () => number;
}

/** An anchor to hold the store against. */
interface CheckedAnchor {
  readonly anchor: Anchor;
  readonly isTrusted: boolean;
}

/** The anchor in the options, taken from outside; its signature is checked before anything is read. */
function checkedAnchor(options: VerifySealedOptions): CheckedAnchor | null {
  checkOptionNames(options, ["anchor", "publicKey"], "verifySealed");
  if (options.anchor === undefined) {
    if (options.publicKey !== undefined) throw new TypeError("option publicKey goes with an anchor");
    return null;
  }
  const publicKey = options.publicKey === undefined ? null : verifyingKey(options.publicKey);
  const anchor = parseAnchor(options.anchor);
  checkSignature(anchor, publicKey);
  return { anchor, isTrusted: publicKey !== null };
}

/**
 * Verifies the sealed tier as the newest manifest lists it; begins again where a checkpoint replaces segments meanwhile. What is damaged comes
 * before what is not the anchor's.
 *
 * @throws StoreError `ERR_WAL_CORRUPT`, `ERR_WAL_FOREIGN`, `ERR_WAL_VERSION` with path, offset and LSNs; `ERR_IO_FAILED`
 * @throws StoreError with an anchor `ERR_ANCHOR_INVALID`, `ERR_ANCHOR_SIGNATURE`, `ERR_ANCHOR_FOREIGN`, `ERR_ANCHOR_ROLLED_BACK`,
 *   `ERR_ANCHOR_FORKED`, `ERR_LOG_TRUNCATED`
 * @throws TypeError naming the option
 */
export async function verifySealed(place: VerifyPlace, options: VerifySealedOptions = {}): Promise<SealedVerification> {
  const checked = checkedAnchor(options);
  for (;;) {
    const manifest = await currentManifest(place.directory);
    if (checked !== null) assertOwnAnchor(checked.anchor, manifest.storeId);
    const mark = checked === null ? null : new ChainMark(checked.anchor.lsn);
    let verified: TierVerification;
    try {
      verified = await verifyAll(place, manifest, mark);
    } catch (error) {
      const newest = await currentManifest(place.directory);
      if (JSON.stringify(newest.sealed) === JSON.stringify(manifest.sealed)) throw error;
      continue;
    }
    if (checked === null || mark === null) return { ...verified, anchor: null };
    const { anchor, isTrusted } = checked;
    const { lastLsn: sealedLsn, horizon } = verified;
    const lastLsn = Math.max(sealedLsn, place.lastLsn());
    judgeAnchor(anchor, { storeId: manifest.storeId, sealedLsn, lastLsn, horizon, found: mark.found });
    const { lsn, at, publicKey: signedBy = null } = anchor;
    return { ...verified, anchor: { lsn, at, signedBy, isTrusted } };
  }
}

type TierVerification = Omit<SealedVerification, "anchor">;

async function verifyAll(
  { io, directory, keyOf, keys = null }: VerifyPlace,
  manifest: Manifest,
  mark: ChainMark | null,
): Promise<TierVerification> {
  const storeId = Buffer.from(manifest.storeId, "hex");
  const folder = sealedDirectory(directory);
  checkSealedRange(manifest, folder);
  const { horizonLsn: horizon } = manifest;
  const counts = { records: 0, removedLsns: 0, sparedRecords: 0, voidLsns: 0 };
  let hash = CHAIN_START;
  const onRun = (run: SealedRun, chain: HashChain): void => mark?.note(run, chain);
  for (const entry of manifest.sealed) {
    const path = sealedPath(folder, entry.number);
    const trailer = await verifySegment(path, { io, storeId, number: entry.number, keyOf, keys, onRun });
    const { firstLsn, lastLsn } = entry;
    const found = entryOf(trailer);
    const isListed = found.firstLsn === firstLsn && found.lastLsn === lastLsn && found.hash === entry.hash;
    const place = { path, offset: 0, firstLsn, lastLsn };
    if (!isListed) throw sealedDamage(place, "not the segment that the manifest lists");
    if (trailer.hashBefore.toString("hex") !== hash)
      throw sealedDamage(place, "its hash chain does not follow the one before");
    hash = found.hash;
    counts.records += trailer.recordCount;
    counts.voidLsns += trailer.voidCount;
    counts.removedLsns += trailer.removedCount;
    if (lastLsn <= horizon) counts.sparedRecords += trailer.recordCount;
  }
  return { segments: manifest.sealed.length, lastLsn: manifest.checkpointLsn, horizon, ...counts };
}
