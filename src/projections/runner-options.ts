/** How a projection is run: what callers may set, what they are told, and the checks on it. */

import type { StoreError } from "../errors.js";
import { checkOptionNames, choiceOption } from "../events/index.js";
import type { RefusalReason } from "./checkpoint-file.js";
import type { FeedEvent } from "./event-feed.js";
import { type Projection, validateProjection } from "./projection.js";
import type { ProjectionProgress } from "./projection-progress.js";
import { checkModule, type ProjectionModule } from "./rebuild-options.js";

/**
 * What becomes of an event at which `apply` throws.
 *
 * - `"stop"`: the projection fails and stays at the LSN before; it writes no checkpoint any more, for `apply` may have
 *   left the state half changed.
 * - `"skip"`: the event is counted and left out.
 * - `"park"`: the event is left out, and its LSN and the error's message are kept in the checkpoint, to be listed.
 */
export type FailurePolicy = "stop" | "skip" | "park";

/** Something that a caller may want to log. */
export type ProjectionReport =
  | {
      readonly kind: "checkpoint-refused";
      readonly file: string;
      readonly reason: RefusalReason;
      readonly message: string;
    }
  | { readonly kind: "checkpoint-failed"; readonly error: StoreError }
  | { readonly kind: "event-skipped"; readonly lsn: number; readonly type: string; readonly error: unknown }
  | { readonly kind: "event-parked"; readonly lsn: number; readonly type: string; readonly error: unknown }
  /** A subject was forgotten that the state had something of; it is rebuilt. `lsn`: where the log says it. */
  | { readonly kind: "started-over"; readonly lsn: number }
  /** A state that was rebuilt serves now, as of `lsn`. */
  | { readonly kind: "rebuilt"; readonly lsn: number }
  /** A rebuild that nobody waits for (by `rebuildIn`, or of a state that was made elsewhere) did not end; the state that serves goes on. */
  | { readonly kind: "rebuild-failed"; readonly error: unknown }
  | { readonly kind: "failed"; readonly error: StoreError };

export interface RunnerOptions<State, Event extends FeedEvent> {
  /** What to do when `apply` throws; `"stop"` by default. */
  readonly onError?: FailurePolicy;
  /**
   * How many LSNs are passed between two checkpoints, 1,000,000 by default; `Infinity` for none but those that
   * `checkpoint()` and `close()` write. The projection stands still while one is written.
   */
  readonly checkpointEveryEvents?: number;
  /**
   * The definition of the version before, under the same name. If its checkpoint is there, its state is served, and kept
   * up to date, until this version has caught up. Without it, this version is served from its first event on.
   */
  readonly previous?: Projection<State, Event>;
  /**
   * Where another thread finds this definition: `rebuild()` folds there, and so does a start from zero, while the version before (or the empty
   * state) serves. `"job"`: a start from zero waits for the state that `varve projection rebuild` or `rebuildProjection` makes in a process of
   * its own, however long that takes; it is heeded within half a second. A log of at most 1,000 LSNs is folded here all the same. Default: on this loop.
   */
  readonly rebuildIn?: ProjectionModule | "job";
  /** Called at most four times a second while events are applied. */
  readonly onProgress?: (progress: ProjectionProgress) => void;
  /** Called with everything worth a line in a log. By default, failures and refused checkpoints become process warnings. */
  readonly onReport?: (report: ProjectionReport) => void;
}

/** The options, checked and complete. */
export interface RunnerSettings<State, Event extends FeedEvent> {
  readonly onError: FailurePolicy;
  readonly checkpointEveryEvents: number;
  readonly previous: Projection<State, Event> | null;
  readonly rebuildIn: ProjectionModule | "job" | null;
  readonly onProgress: ((progress: ProjectionProgress) => void) | null;
  readonly onReport: (report: ProjectionReport) => void;
}

const CHECKPOINT_EVERY_EVENTS = 1_000_000;
const OPTION_NAMES = ["onError", "checkpointEveryEvents", "previous", "rebuildIn", "onProgress", "onReport"];
export const FAILURE_POLICIES: readonly FailurePolicy[] = ["stop", "skip", "park"];

export function settingsOf<State, Event extends FeedEvent>(
  projection: Projection<State, Event>,
  options: RunnerOptions<State, Event>,
): RunnerSettings<State, Event> {
  if (typeof options !== "object" || options === null) throw new TypeError("the options must be an object");
  checkOptionNames(options, OPTION_NAMES, "startProjection");
  const { checkpointEveryEvents = CHECKPOINT_EVERY_EVENTS, previous, rebuildIn, onProgress, onReport } = options;
  const counted = Number.isSafeInteger(checkpointEveryEvents) && checkpointEveryEvents > 0;
  if (!counted && checkpointEveryEvents !== Number.POSITIVE_INFINITY) {
    throw new TypeError("option checkpointEveryEvents must be a positive integer or Infinity");
  }
  if (previous !== undefined) {
    validateProjection(previous);
    if (previous.name !== projection.name) throw new TypeError("option previous must have the projection's name");
    if (previous.version === projection.version) throw new TypeError("option previous must have another version");
  }
  if (rebuildIn !== undefined && rebuildIn !== "job") checkModule(rebuildIn, "rebuildIn");
  if (onProgress !== undefined && typeof onProgress !== "function")
    throw new TypeError("option onProgress must be a function");
  if (onReport !== undefined && typeof onReport !== "function")
    throw new TypeError("option onReport must be a function");
  return {
    onError: choiceOption(options.onError, "onError", FAILURE_POLICIES, "stop"),
    checkpointEveryEvents,
    previous: previous ?? null,
    rebuildIn: rebuildIn ?? null,
    onProgress: onProgress ?? null,
    onReport: onReport ?? ((report) => warn(projection.name, report)),
  };
}

function warn(name: string, report: ProjectionReport): void {
  switch (report.kind) {
    case "failed":
    case "checkpoint-failed":
      process.emitWarning(report.error.message, {
        type: "VarveWarning",
        code: report.error.code,
      });
      return;
    case "checkpoint-refused":
      process.emitWarning(`projection "${name}": ${report.file} is not used: ${report.message}`, {
        type: "VarveWarning",
      });
      return;
    case "rebuild-failed":
      process.emitWarning(`projection "${name}": the rebuild failed: ${messageOf(report.error)}`, {
        type: "VarveWarning",
      });
      return;
    case "event-skipped":
    case "event-parked":
    case "started-over":
    case "rebuilt":
      // The caller chose a policy that goes on.
      return;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
