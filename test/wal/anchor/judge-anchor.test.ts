import { isStoreError } from "../../../src/errors.js";
import type { Anchor } from "../../../src/wal/anchor/anchor.js";
import type { ChainFinding } from "../../../src/wal/anchor/chain-mark.js";
import { type AnchoredLog, judgeAnchor } from "../../../src/wal/anchor/judge-anchor.js";
import { assert } from "../../support/assert.js";
import { suite } from "../../support/suite.js";

const test = suite("wal/anchor/judge-anchor");

const ZEROS = "0".repeat(64);
const ANCHOR: Anchor = { version: 1, storeId: "a".repeat(32), lsn: 100, hash: "b".repeat(64), at: 0 };
const SAME: ChainFinding = { kind: "value", hash: ANCHOR.hash };
const OTHER: ChainFinding = { kind: "value", hash: "c".repeat(64) };
const INSIDE: ChainFinding = { kind: "inside" };
const DROPPED: ChainFinding = { kind: "dropped" };
const LOG: AnchoredLog = { storeId: ANCHOR.storeId, sealedLsn: 100, lastLsn: 120, horizon: 0, found: SAME };

function outcome(log: Partial<AnchoredLog>, anchor: Partial<Anchor> = {}): string {
  try {
    judgeAnchor({ ...ANCHOR, ...anchor }, { ...LOG, ...log });
    return "ok";
  } catch (error) {
    assert.ok(isStoreError(error));
    return [error.code, error.details["reason"]].filter((part) => part !== undefined).join(" ");
  }
}

test("each case has its own outcome", () => {
  const cases: [Partial<AnchoredLog>, string][] = [
    [{}, "ok"],
    [{ sealedLsn: 5_000, lastLsn: 5_000 }, "ok"],
    [{ found: OTHER }, "ERR_ANCHOR_FORKED"],
    [{ found: INSIDE }, "ERR_ANCHOR_FORKED"],
    [{ sealedLsn: 99, lastLsn: 99, found: INSIDE }, "ERR_ANCHOR_ROLLED_BACK ends-before"],
    [{ sealedLsn: 99, lastLsn: 100, found: INSIDE }, "ERR_ANCHOR_ROLLED_BACK sealed-less"],
    [{ sealedLsn: 0, lastLsn: 0, found: INSIDE }, "ERR_ANCHOR_ROLLED_BACK ends-before"],
    [{ horizon: 500, sealedLsn: 600, found: DROPPED }, "ERR_LOG_TRUNCATED"],
    [{ horizon: 100, found: SAME }, "ok"],
    [{ horizon: 100, found: OTHER }, "ERR_ANCHOR_FORKED"],
    [{ storeId: "d".repeat(32) }, "ERR_ANCHOR_FOREIGN"],
    [{ storeId: "d".repeat(32), sealedLsn: 0, lastLsn: 0, found: INSIDE }, "ERR_ANCHOR_FOREIGN"],
  ];
  for (const [log, expected] of cases) assert.is(outcome(log), expected, JSON.stringify(log));
});

test("an anchor of an empty store says only which store it was", () => {
  const empty = { lsn: 0, hash: ZEROS };
  assert.is(outcome({ sealedLsn: 0, lastLsn: 0, found: INSIDE }, empty), "ok");
  assert.is(outcome({ horizon: 50, found: INSIDE }, empty), "ok");
  assert.is(outcome({ storeId: "d".repeat(32) }, empty), "ERR_ANCHOR_FOREIGN");
});
