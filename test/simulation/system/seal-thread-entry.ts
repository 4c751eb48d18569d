/** What `src/events/seal-worker.ts` does when a thread begins with it, for threads that begin more than once. */

import { realmOf } from "../realms.js";
import { setThreadEntry } from "../start-thread.js";

const realm = realmOf(import.meta.url);
const inRealm = (path: string): string => new URL(`${path}?realm=${realm.name}`, import.meta.url).href;

const { serveSealing } = (await import(
  inRealm("../../../src/wal/seal-worker.js")
)) as typeof import("../../../src/wal/seal-worker.js");
const { envelopeKey } = (await import(
  inRealm("../../../src/events/envelope-key.js")
)) as typeof import("../../../src/events/envelope-key.js");
const { beginThread } = (await import(inRealm("./worker-threads.js"))) as typeof import("./worker-threads.js");

setThreadEntry(realm, () => {
  beginThread();
  return serveSealing(envelopeKey());
});
