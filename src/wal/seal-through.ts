/** Sealing everything that was acknowledged, whoever makes the checkpoint. */

import { setTimeout as delay } from "node:timers/promises";
import type { CheckpointReport } from "./checkpoint.js";

/** Another writer's checkpoint is waited for so long at a time. */
const CHECKPOINT_RETRY_MS = 20;

export interface SealingLog {
  readonly watermark: () => number;
  /** Null when another writer is making one. Throws when the store closes. */
  readonly checkpoint: () => Promise<CheckpointReport | null>;
}

/** Everything that was acknowledged when this was called is sealed when it resolves. */
export async function sealThroughNow({ watermark, checkpoint }: SealingLog): Promise<void> {
  const through = watermark();
  for (;;) {
    const report = await checkpoint();
    if (report !== null && report.lsn >= through) return;
    if (report === null) await delay(CHECKPOINT_RETRY_MS);
  }
}
