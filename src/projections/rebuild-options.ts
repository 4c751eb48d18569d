/** How a rebuild is made, what it tells, and the checks on what callers give. */

import { checkOptionNames, type EncryptionOptions } from "../events/index.js";
import type { ProjectionProgress } from "./projection-progress.js";

/** Where a definition can be loaded from by another thread or process. */
export interface ProjectionModule {
  /** The URL of a module that exports the projection, by whatever name, or by default: `new URL("./balances.js", import.meta.url)`. */
  readonly module: URL;
  /** .proto files whose message types the events have, as `openStore` was given them. */
  readonly schemas?: readonly string[];
  /** The keys of a store that is encrypted, once more; `{ file }` and `{ env }` are read by the other thread itself. */
  readonly encryption?: EncryptionOptions | null;
}

/** How a projection is rebuilt while its state goes on serving. */
export interface RebuildOptions {
  /** Cancels it: what was built is removed, and the state that serves goes on. */
  readonly signal?: AbortSignal;
  /** How many events are folded per second at most. Default: `Infinity`. */
  readonly maxEventsPerSecond?: number;
  /** Begins at the first event even where a rebuild was interrupted by closing or a kill. Default false: it goes on from there. */
  readonly fresh?: boolean;
  /** Called at most four times a second, and once when it has caught up. `lsn` is how far the new state is. */
  readonly onProgress?: (progress: ProjectionProgress) => void;
  /** Folds in a thread of its own, so that the event loop stays free. Default: the option `rebuildIn` of the projection; else on this loop, in slices. */
  readonly in?: ProjectionModule;
}

/** What a rebuild did. */
export interface RebuildReport {
  /** Where it began: above 0 when it went on with an interrupted one. */
  readonly fromLsn: number;
  /** The LSN that the new state reflected when it took over. */
  readonly lsn: number;
  readonly durationMs: number;
}

/** The options, checked and complete but for the module. */
export interface RebuildSettings {
  readonly signal: AbortSignal | null;
  readonly maxEventsPerSecond: number;
  readonly fresh: boolean;
  readonly onProgress: ((progress: ProjectionProgress) => void) | null;
  readonly in: ProjectionModule | null;
}

export function rebuildSettingsOf(options: RebuildOptions): RebuildSettings {
  if (typeof options !== "object" || options === null) throw new TypeError("the options must be an object");
  checkOptionNames(options, ["signal", "maxEventsPerSecond", "fresh", "onProgress", "in"], "rebuild");
  const { signal, maxEventsPerSecond = Number.POSITIVE_INFINITY, fresh = false, onProgress, in: module } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw new TypeError("option signal must be an AbortSignal");
  if (typeof maxEventsPerSecond !== "number" || !(maxEventsPerSecond > 0)) {
    throw new TypeError("option maxEventsPerSecond must be a number above 0");
  }
  if (typeof fresh !== "boolean") throw new TypeError("option fresh must be true or false");
  if (onProgress !== undefined && typeof onProgress !== "function")
    throw new TypeError("option onProgress must be a function");
  if (module !== undefined) checkModule(module, "in");
  return { signal: signal ?? null, maxEventsPerSecond, fresh, onProgress: onProgress ?? null, in: module ?? null };
}

export function checkModule(value: ProjectionModule, option: string): void {
  if (typeof value !== "object" || value === null) throw new TypeError(`option ${option} must be an object`);
  checkOptionNames(value, ["module", "schemas", "encryption"], `option ${option}`);
  if (!(value.module instanceof URL)) throw new TypeError(`option ${option}.module must be a URL`);
}
