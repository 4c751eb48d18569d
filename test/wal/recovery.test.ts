import { decide, RECOVERY_ROWS, type RecoveryDecision, type RecoveryFacts } from "../../src/wal/recovery.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("wal/recovery");

const MANIFESTS = ["absent", "damaged", "newer", "valid"] as const;
const SEGMENTS = ["none", "some"] as const;
const STORES = ["own", "foreign"] as const;
const LOGS = ["known", "newer", "ahead", "damaged"] as const;
const PREFIXES = ["below", "equal", "above"] as const;
const TAILS = ["sealed", "end", "torn"] as const;

const ALL: RecoveryFacts[] = MANIFESTS.flatMap((manifest) =>
  SEGMENTS.flatMap((segments) =>
    STORES.flatMap((store) =>
      LOGS.flatMap((log) =>
        PREFIXES.flatMap((prefix) => TAILS.map((tail) => ({ manifest, segments, store, log, prefix, tail }))),
      ),
    ),
  ),
);

/** A seal attests everything before it. */
const isContradiction = (facts: RecoveryFacts): boolean =>
  facts.manifest === "valid" &&
  facts.store === "own" &&
  facts.log === "known" &&
  facts.prefix === "above" &&
  facts.tail === "sealed";

function decisionOf(facts: Partial<RecoveryFacts>): RecoveryDecision {
  return decide({
    manifest: "valid",
    segments: "some",
    store: "own",
    log: "known",
    prefix: "equal",
    tail: "end",
    ...facts,
  });
}

test("all combinations of facts have a decision, but those that cannot be, which are a bug", () => {
  let contradictionCount = 0;
  for (const facts of ALL) {
    if (isContradiction(facts)) {
      contradictionCount++;
      assert.throws(() => decide(facts), /no row/);
    } else {
      assert.ok(decide(facts).row.startsWith("@"));
    }
  }
  assert.is(ALL.length, 576);
  assert.is(contradictionCount, 2);
});

test("every row is reached, and each has a name of its own", () => {
  const reached = new Set(ALL.filter((facts) => !isContradiction(facts)).map((facts) => decide(facts).row));
  assert.equal([...reached].sort(), RECOVERY_ROWS.map(({ row }) => row).sort());
  assert.is(new Set(RECOVERY_ROWS.map(({ row }) => row)).size, RECOVERY_ROWS.length);
});

test("only a directory without a manifest and without segments becomes a new store", () => {
  for (const facts of ALL.filter((combination) => !isContradiction(combination))) {
    const creates = decide(facts).action === "create";
    assert.is(creates, facts.manifest === "absent" && facts.segments === "none", JSON.stringify(facts));
  }
});

test("durable data that is missing refuses, whatever else was found", () => {
  for (const facts of ALL.filter(({ prefix }) => prefix === "below")) {
    if (facts.manifest === "absent" && facts.segments === "none") continue;
    assert.is(decide(facts).action, "refuse", JSON.stringify(facts));
  }
});

test("each refusal has the code that tells what to do about it", () => {
  const codeOf = (facts: Partial<RecoveryFacts>): unknown => {
    const decision = decisionOf(facts);
    return decision.action === "refuse" ? decision.code : decision.action;
  };
  assert.is(codeOf({ manifest: "absent" }), "ERR_WAL_CORRUPT");
  assert.is(codeOf({ manifest: "damaged" }), "ERR_WAL_CORRUPT");
  assert.is(codeOf({ manifest: "newer" }), "ERR_WAL_VERSION");
  assert.is(codeOf({ store: "foreign", log: "newer" }), "ERR_WAL_FOREIGN");
  assert.is(codeOf({ log: "newer" }), "ERR_WAL_VERSION");
  assert.is(codeOf({ log: "ahead" }), "ERR_WAL_CORRUPT");
  assert.is(codeOf({ log: "damaged" }), "ERR_WAL_CORRUPT");
  assert.is(codeOf({ prefix: "below" }), "ERR_WAL_CORRUPT");
});

test("records that nobody attested are written again, and only those", () => {
  for (const tail of TAILS) {
    const equal = decisionOf({ prefix: "equal", tail });
    assert.is("rewrite" in equal && equal.rewrite, false);
    if (tail === "sealed") continue;
    const above = decisionOf({ prefix: "above", tail });
    assert.is("rewrite" in above && above.rewrite, true);
  }
});

test("a torn tail is reported, and a clean end is not", () => {
  const reports = (facts: Partial<RecoveryFacts>): unknown => {
    const decision = decisionOf(facts);
    return "reportTornTail" in decision ? decision.reportTornTail : null;
  };
  for (const prefix of ["equal", "above"] as const) {
    assert.is(reports({ prefix, tail: "torn" }), true);
    assert.is(reports({ prefix, tail: "end" }), false);
  }
  assert.is(reports({ prefix: "equal", tail: "sealed" }), false);
});
