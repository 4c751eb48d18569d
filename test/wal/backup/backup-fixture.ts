/** What the tests of backups share: reading a directory as a reader does, and sealing without a thread. */

import { LogView } from "../../../src/wal/log-view.js";
import { type SealWords, type SealWork, sealLog } from "../../../src/wal/seal-log.js";
import { keyOf, readLog } from "../support/log-fixture.js";

/** A log whose sealing and copying is done in this thread: starting one for each takes longer than all else. */
export const HERE = { seal: (task: SealWork, words: SealWords) => sealLog(task, keyOf, words) };

export function openView(directory: string): Promise<LogView> {
  return LogView.open(directory, { onFrame: () => {} });
}

/** What a reader finds in the directory. */
export async function recordsIn(directory: string): Promise<string[]> {
  const view = await openView(directory);
  try {
    return await readLog(view);
  } finally {
    await view.close();
  }
}
