import { readdirSync } from "node:fs";
import { rebuildFault } from "../../src/cli/bench-rebuild.js";
import { answerAt, bookingOf, digestOf, isRight } from "../../src/cli/bench-rebuild-accounts.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { runJson } from "./support/run-cli.js";

const test = suite("cli/bench-rebuild");

test("a rebuild that is killed twice goes on, while the old version answers, and the application goes over to it", async () => {
  const directory = temporaryDirectory();
  const sizes = ["--events", "4000", "--accounts", "50", "--kills", "2", "--appends-per-second", "200"];
  const [result = {}] = await runJson([
    ...["bench", "rebuild", ...sizes, "--max-events-per-second", "5000", "--checkpoint-every", "100"],
    ...["--dir", directory],
  ]);
  assert.is(result["fault"], null);
  assert.is((result["killedAtLsns"] as number[]).length, 2);
  assert.ok(Number(result["resumedFromLsn"]) > 1_500, String(result["resumedFromLsn"]));
  assert.is(result["wrongAnswers"], 0);
  for (const figure of ["answersOfOldVersion", "answersOfNewVersion", "appendedEvents"])
    assert.ok(Number(result[figure]) > 0, figure);
  assert.equal(readdirSync(directory), []);
});

test("the answers are those of a fold", () => {
  const accounts = 3;
  const state = new Map<string, { cents: number; entries: number }>();
  for (let lsn = 1; lsn <= 20; lsn += 1) {
    const { account, cents } = bookingOf(lsn - 1, accounts);
    const before = state.get(String(account)) ?? { cents: 0, entries: 0 };
    state.set(String(account), { cents: before.cents + cents, entries: before.entries + 1 });
    for (let asked = 0; asked < accounts; asked += 1) {
      assert.equal(answerAt(lsn, asked, accounts) ?? undefined, state.get(String(asked)));
      assert.ok(isRight(state, { lsn, version: 2 }, asked, accounts));
      assert.is(isRight(state, { lsn: lsn + accounts, version: 2 }, asked, accounts), false);
      assert.is(isRight(state, { lsn, version: 1 }, asked, accounts), !state.has(String(asked)));
    }
  }
  const digest = digestOf((account) => state.get(String(account)), accounts);
  assert.is.not(
    digest,
    digestOf((account) => (account === 1 ? { cents: 1, entries: 1 } : state.get(String(account))), accounts),
  );
});

test("says what is wrong with a rebuild", () => {
  const plan = { events: 100, kills: 1 };
  const figures = {
    killedAtLsns: [50],
    resumedFromLsn: 40,
    wrongAnswers: 0,
    answersOfOldVersion: 9,
    appendedEvents: 5,
  };
  const served = { lsn: 105, digest: "d" };
  const folded = { events: 105, digest: "d" };
  assert.is(rebuildFault(plan, figures, served, folded), null);
  const faults: readonly (readonly [string | null, RegExp])[] = [
    [rebuildFault(plan, { ...figures, wrongAnswers: 2 }, served, folded), /2 answers/],
    [rebuildFault(plan, { ...figures, answersOfOldVersion: 0 }, served, folded), /answered nothing/],
    [rebuildFault(plan, { ...figures, appendedEvents: 6 }, served, folded), /at LSN 105/],
    [rebuildFault(plan, figures, served, { ...folded, events: 104 }), /104 events/],
    [rebuildFault(plan, figures, served, { ...folded, digest: "e" }), /differs/],
    [rebuildFault(plan, { ...figures, killedAtLsns: [] }, served, folded), /0 of 1 kills/],
    [rebuildFault(plan, { ...figures, resumedFromLsn: 0 }, served, folded), /has not gone on/],
  ];
  for (const [fault, pattern] of faults) assert.match(fault ?? "", pattern);
});
