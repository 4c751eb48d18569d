/**
 * Events of subjects are handed out one at a time, each right after it was asked whether its subject is forgotten by now.
 *
 * They are opened some hundred at a time, and a slow consumer can come to the last of them long afterwards. To open each when its turn comes was
 * refused: whoever keeps an event reads it after the store was closed, too.
 */

import type { StoredEvent } from "./recorded-event.js";

/** How somebody who reads hears of what others forget. Who has no subject keys needs none. */
export interface SubjectHearing {
  /** Resolves when all is known here that was durable when it was asked; null: it is now. */
  hear(): Promise<void> | null;
  isForgotten(keyId: string): boolean;
}

/** The same events; those whose subject is forgotten when their turn comes have no content. */
export async function* heardBatches(
  batches: AsyncIterable<readonly StoredEvent[]>,
  hearing: SubjectHearing,
): AsyncGenerator<readonly StoredEvent[], void, undefined> {
  for await (const events of batches) {
    let from = 0;
    for (const [index, event] of events.entries()) {
      const { subjectContent: content } = event;
      if (content?.status !== "open") continue;
      // Those before it have been handed out when this goes on.
      if (index > from) yield events.slice(from, index);
      const hearsMore = hearing.hear();
      if (hearsMore !== null) await hearsMore;
      if (hearing.isForgotten(content.keyId)) event.forgetContent();
      yield [event];
      from = index + 1;
    }
    if (from < events.length) yield from === 0 ? events : events.slice(from);
  }
}
