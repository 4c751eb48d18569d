/** Folds the log of the rebuild benchmark from its first event, with nothing of the projection engine, for a comparison. */

import { openReader } from "../index.js";
import { type Account, BOOKED, type bookingOf, digestOf } from "./bench-rebuild-accounts.js";
import { servePeer } from "./peer-parent.js";

export interface FolderTask {
  readonly store: string;
  readonly accounts: number;
  readonly throughLsn: number;
}

export interface FolderReport {
  readonly events: number;
  readonly digest: string;
}

await servePeer<FolderTask, never, FolderReport>(async ({ store, accounts, throughLsn }, parent) => {
  const reader = await openReader(store);
  try {
    const cents = new Float64Array(accounts);
    const entries = new Float64Array(accounts);
    let events = 0;
    for await (const batch of reader.readBatches(0)) {
      for (const { lsn, type, data } of batch) {
        if (type !== BOOKED || lsn > throughLsn) continue;
        const booking = data as ReturnType<typeof bookingOf>;
        cents[booking.account] = (cents[booking.account] ?? 0) + booking.cents;
        entries[booking.account] = (entries[booking.account] ?? 0) + 1;
        events += 1;
      }
    }
    const accountOf = (account: number): Account | undefined => {
      const count = entries[account] ?? 0;
      return count === 0 ? undefined : { cents: cents[account] ?? 0, entries: count };
    };
    parent.tell({ events, digest: digestOf(accountOf, accounts) });
  } finally {
    await reader.close();
  }
});
