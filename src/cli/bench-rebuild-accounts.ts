/**
 * The events of the rebuild benchmark, and its read model in two versions. What either version must answer at an LSN follows from the number of
 * an event by two lines of arithmetic (`answerAt`), so that each answer is checked without another fold.
 *
 * Event `number`, counted from 0, has the LSN `number + 1`, is of the account `number % accounts`, and brings it one cent more than the event
 * before.
 */

import { createHash } from "node:crypto";
import { multiStream, type Projection, type RecordedEvent } from "../index.js";

export const ACCOUNTS_PROJECTION = "bench-accounts";
export const BOOKED = "BenchBooked";
const STREAMS = 1_000;

type Bookings = { readonly [BOOKED]: { readonly account: number; readonly cents: number } };

/** What the old version keeps, and with `entries` what the new one keeps. */
export interface Account {
  cents: number;
  entries?: number;
}

export type AccountsProjection = Projection<ReadonlyMap<string, Account>, RecordedEvent<Bookings>>;

export const accountsBefore: AccountsProjection = accountsOf(1, () => ({ cents: 0 }));
export const accountsAfter: AccountsProjection = accountsOf(2, () => ({ cents: 0, entries: 0 }));

function accountsOf(version: number, initial: () => Account): AccountsProjection {
  return multiStream<Bookings, Account>({
    name: ACCOUNTS_PROJECTION,
    version,
    key: ({ data }) => String(data.account),
    initial,
    on: {
      [BOOKED]: (account, { data }) => {
        account.cents += data.cents;
        if (account.entries !== undefined) account.entries += 1;
        return account;
      },
    },
  });
}

/** The event with that number. */
export function bookingOf(number: number, accounts: number): Bookings[typeof BOOKED] {
  return { account: number % accounts, cents: Math.floor(number / accounts) + 1 };
}

/** The stream of the append that begins with that event. */
export function bookingStreamOf(number: number): string {
  return `book-${Math.floor(number / 100) % STREAMS}`;
}

/** What an account holds when the log ends with that LSN; null: nothing was booked yet. */
export function answerAt(lsn: number, account: number, accounts: number): Required<Account> | null {
  if (lsn <= account) return null;
  const entries = Math.floor((lsn - 1 - account) / accounts) + 1;
  return { entries, cents: (entries * (entries + 1)) / 2 };
}

/** Whether the state of a version, which reflects that LSN, gives the right answer. */
export function isRight(
  state: ReadonlyMap<string, Account>,
  { lsn, version }: { readonly lsn: number; readonly version: number },
  account: number,
  accounts: number,
): boolean {
  const expected = answerAt(lsn, account, accounts);
  const found = state.get(String(account));
  if (expected === null || found === undefined) return expected === null && found === undefined;
  return (
    found.cents === expected.cents && (version === 1 ? found.entries === undefined : found.entries === expected.entries)
  );
}

/** A hash over all accounts as the new version has them. */
export function digestOf(accountOf: (account: number) => Account | undefined, accounts: number): string {
  const hash = createHash("sha256");
  for (let account = 0; account < accounts; account += 1) {
    const found = accountOf(account);
    hash.update(`${account}:${found?.cents}:${found?.entries}\n`);
  }
  return hash.digest("hex");
}
