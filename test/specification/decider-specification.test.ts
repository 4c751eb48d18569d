/** What a specification of a decider lets pass, and how it tells what it does not. */

import { AssertionError } from "node:assert";
import type { Decider } from "../../src/index.js";
import { specifyDecider } from "../../src/specification/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("specification/decider-specification");

type Bank = { Deposited: { cents: number }; Withdrawn: { cents: number }; Closed: undefined };
type Command = { readonly withdraw: number } | "close";

class Overdrawn extends Error {
  readonly code = "ERR_OVERDRAWN";
}

const account: Decider<{ cents: number }, Command, Bank> = {
  initial: () => ({ cents: 0 }),
  evolve: (state, event) => {
    if (event.type === "Deposited") state.cents += event.data.cents;
    return state;
  },
  decide: (command, { cents }) => {
    if (command === "close") {
      const closed = { type: "Closed", data: undefined, metadata: { at: 1 } } as const;
      return cents === 0 ? [] : [{ type: "Withdrawn", data: { cents } }, closed];
    }
    if (command.withdraw > cents) throw new Overdrawn(`only ${cents}`);
    return { type: "Withdrawn", data: { cents: command.withdraw } };
  },
};
const deposited = { type: "Deposited", data: { cents: 500 } } as const;

function failureOf(work: () => void): AssertionError {
  try {
    work();
  } catch (error) {
    if (error instanceof AssertionError) return error;
    throw error;
  }
  throw new Error("it passed");
}

test("what is as specified passes", () => {
  const spec = specifyDecider(account);
  spec
    .given(deposited)
    .when({ withdraw: 200 })
    .then({ type: "Withdrawn", data: { cents: 200 } });
  spec
    .given([deposited, deposited])
    .when("close")
    .then([
      { type: "Withdrawn", data: { cents: 1000 } },
      { type: "Closed", data: undefined },
    ]);
  spec.given([]).when("close").then([]);
  const refused = spec.given([deposited]).when({ withdraw: 501 });
  refused.thenThrows();
  for (const error of [
    /only 500/,
    "ERR_OVERDRAWN",
    Overdrawn,
    Error,
    (e: unknown) => e instanceof Overdrawn,
  ] as const) {
    refused.thenThrows(error);
  }
});

test("another decision fails with the situation, the difference, and both lists", () => {
  const decision = specifyDecider(account).given(deposited).when({ withdraw: 200 });
  const error = failureOf(() => decision.then({ type: "Withdrawn", data: { cents: 100 } }));
  assert.match(error.message, /^given Deposited, when \{ withdraw: 200 \}:\nExpected values to be strictly deep-equal/);
  assert.match(error.message, /\+\s+cents: 200/);
  assert.match(error.message, /-\s+cents: 100/);
  assert.equal(error.actual, [{ type: "Withdrawn", data: { cents: 200 } }]);
  assert.equal(error.expected, [{ type: "Withdrawn", data: { cents: 100 } }]);
  failureOf(() => decision.then([]));
  failureOf(() =>
    decision.then([
      { type: "Withdrawn", data: { cents: 200 } },
      { type: "Closed", data: undefined },
    ]),
  );
  failureOf(() => decision.then({ type: "Deposited", data: { cents: 200 } }));
});

test("metadata is compared where it is expected", () => {
  const decision = specifyDecider(account).given(deposited).when("close");
  const withdrawn = { type: "Withdrawn", data: { cents: 500 } } as const;
  decision.then([withdrawn, { type: "Closed", data: undefined, metadata: { at: 1 } }]);
  failureOf(() => decision.then([withdrawn, { type: "Closed", data: undefined, metadata: { at: 2 } }]));
  failureOf(() =>
    decision.then([
      { ...withdrawn, id: "w" },
      { type: "Closed", data: undefined },
    ]),
  );
});

test("an error where there is to be none, none where there is to be one, and another one fail", () => {
  const spec = specifyDecider(account).given(deposited);
  const unexpected = failureOf(() => spec.when({ withdraw: 501 }).then([]));
  assert.match(unexpected.message, /expected no error, but got Error: only 500/);
  assert.instance(unexpected.cause, Overdrawn);
  const missing = failureOf(() => spec.when({ withdraw: 1 }).thenThrows(Overdrawn));
  assert.match(missing.message, /expected an error of Overdrawn, but got \[ \{ type: 'Withdrawn'/);
  for (const [matcher, message] of [
    [/other/, /an error like \/other\/, but got Error: only 500/],
    ["ERR_OTHER", /with the code ERR_OTHER/],
    [RangeError, /of RangeError/],
    [() => false, /passes the given function/],
  ] as const) {
    assert.match(failureOf(() => spec.when({ withdraw: 501 }).thenThrows(matcher)).message, message);
  }
});

test("what evolve throws is thrown as it is, and given events are not changed", () => {
  const own = new Error("evolve");
  const broken: typeof account = {
    ...account,
    evolve: () => {
      throw own;
    },
  };
  assert.throws(
    () => specifyDecider(broken).given(deposited).when("close"),
    (error: Error) => error === own,
  );
  const data = { cents: 1 };
  const changing: typeof account = {
    ...account,
    evolve: (state, event) => {
      (event.data as { cents: number }).cents = 99;
      return state;
    },
  };
  specifyDecider(changing).given({ type: "Deposited", data }).when("close").then([]);
  assert.equal(data, { cents: 1 });
});

test("awaiting a specification is refused instead of passing", async () => {
  const decision = specifyDecider(account).given([]).when("close");
  await rejects(
    (async () => {
      await (decision as unknown as Promise<void>);
    })(),
    (error) => error instanceof TypeError && /no promise/.test(error.message),
  );
  assert.throws(
    () =>
      specifyDecider(account)
        .given([null as never])
        .when("close"),
    /given event 1 must be an object/,
  );
});
