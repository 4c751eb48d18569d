/** Judges what is done with a store that lies: an answer, or a refusal with a code. */

import { isStoreError, openReader, openStore, repairStore, salvageStore } from "../../src/index.js";
import { FuzzFailure } from "./fuzz-oracle.js";
import { copyOf, type FuzzStore, OPTIONS } from "./fuzz-store.js";
import { readGraph, readStream, readWhole, STREAMS } from "./store-reading.js";

export type ForgeryOutcome = "answered" | "refused";

async function attempt(work: () => Promise<unknown>): Promise<ForgeryOutcome> {
  try {
    await work();
    return "answered";
  } catch (error) {
    if (isStoreError(error)) return "refused";
    throw new FuzzFailure(`an error without a code: ${(error as Error).stack}`, { cause: error });
  }
}

/** @throws FuzzFailure */
export async function judgeForgery(
  { encryption }: FuzzStore,
  directory: string,
  scratch: string,
): Promise<ForgeryOutcome> {
  const outcomes = [
    await attempt(async () => {
      const reader = await openReader(directory, { encryption });
      try {
        await attempt(() => readWhole(reader));
        for (const [index, stream] of STREAMS.entries())
          await attempt(() => readStream(reader, stream, index % 2 === 0));
        await attempt(() => readGraph(reader));
        await reader.verifySealed();
      } finally {
        await reader.close();
      }
    }),
    await attempt(() => salvageStore(directory, { encryption })),
    await attempt(async () => {
      const store = await openStore(copyOf(directory, scratch), { ...OPTIONS, encryption });
      try {
        await attempt(() => store.append("account-0", { type: "T", data: 1 }));
        await attempt(() => store.checkpoint());
      } finally {
        await store.close();
      }
    }),
    await attempt(() =>
      repairStore(copyOf(directory, scratch), { dryRun: false, backup: `${scratch}-${Date.now()}`, encryption }),
    ),
  ];
  return outcomes.includes("refused") ? "refused" : "answered";
}
