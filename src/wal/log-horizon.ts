/** Where the log begins for readers: behind what a truncation has dropped. */

import { StoreError } from "../errors.js";

/** What to tell a reader that asks for what was dropped. */
export function truncated(after: number, horizon: number): StoreError {
  const message = `LSNs up to ${horizon} were dropped by a truncation of the log; reading can begin after ${horizon}, not after ${after}`;
  return new StoreError("ERR_LOG_TRUNCATED", message, { horizon, after });
}
