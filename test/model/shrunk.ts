/** A history that shows a difference, made as small as it goes, and as text that a test can take over. */

import { inspect } from "node:util";
import { Difference } from "./compare.js";
import type { ModelStep } from "./model-history.js";
import { runHistory } from "./model-run.js";
import { shrink } from "./shrink.js";

export interface Finding {
  readonly message: string;
  /** The events that are left, one a line. */
  readonly history: string;
}

/** Runs a history; null when the graph and the model agree, else what is left of it when nothing more can be left out. */
export function findingOf(steps: readonly ModelStep[], seed: number, change?: Change): Finding | null {
  const first = errorOf(() => runHistory(steps, seed, "some", change));
  if (first === null) return null;
  const everything = (part: readonly ModelStep[]): Error | null =>
    errorOf(() => runHistory(renumbered(part), seed, "all", change));
  // The points that showed it hang on the number of events, so a part is asked everything.
  const left = everything(steps) === null ? steps : renumbered(shrink(steps, (part) => everything(part) !== null));
  const error = everything(left) ?? first;
  return {
    message: error instanceof Difference ? error.message : (error.stack ?? error.message),
    history: left.map(lineOf).join("\n"),
  };
}

type Change = Parameters<typeof runHistory>[3];

function errorOf(run: () => number): Error | null {
  try {
    run();
    return null;
  } catch (error) {
    // An assertion inside the graph is a finding, too.
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** LSNs are dense, whatever was left out. */
export function renumbered(steps: readonly ModelStep[]): ModelStep[] {
  return steps.map((step, index) => ({ ...step, event: { ...step.event, lsn: index + 1 } }));
}

function lineOf({ event, reload, moves, clock }: ModelStep): string {
  const { lsn, recordedAt, type, data } = event;
  const plain = Object.entries(data).map(([key, value]) =>
    key === "properties" ? [key, Object.fromEntries(Object.entries(value as object))] : [key, value],
  );
  const text = inspect(Object.fromEntries(plain), {
    depth: null,
    breakLength: Number.POSITIVE_INFINITY,
    compact: true,
  });
  const notes = `clock ${clock}${reload ? ", from a checkpoint" : ""}${moves === null ? "" : `, history of ${moves} LSNs ago in files`}`;
  return `{ lsn: ${lsn}, recordedAt: ${recordedAt}, type: "${type}", data: ${text} }, // ${notes}`;
}
