/** Derived state: the runner of projections. Everything here may be thrown away and rebuilt from the log. */

export type { RefusalReason } from "./checkpoint-file.js";
export type { ParkedEvent } from "./checkpoint-format.js";
export type { EventFeed, FeedEvent } from "./event-feed.js";
export type { GraphEdge, GraphNode } from "./graph/entity.js";
export type { Graph, IndexDefinition } from "./graph/graph.js";
export type {
  Detach,
  EdgeInput,
  GraphCommandResult,
  GraphPurgeResult,
  NodeInput,
  PropertyOptions,
  PurgeOptions,
  ValidPeriod,
} from "./graph/graph-commands.js";
export type { GraphChange, GraphHistory, HistoryOptions } from "./graph/graph-history.js";
export type { AsOf } from "./graph/graph-state.js";
export type { EdgeQuery, GraphView, NodeQuery, TraverseQuery, TraverseStep } from "./graph/graph-view.js";
export type { Properties, PropertyValue } from "./graph/property.js";
export type { WaitOptions } from "./lsn-waiters.js";
export { openReader, openStore, type ReaderOptions } from "./open-store.js";
export type { RetryReport } from "./parked-events.js";
export type { Projection } from "./projection.js";
export { type ProjectionFiles, type SavedState, setProjectionPaused } from "./projection-files.js";
export type { ProjectionMetrics, ProjectionProgress, ProjectionStatus } from "./projection-progress.js";
export { loadProjection, type RebuildJobOptions, rebuildProjection } from "./rebuild-job.js";
export type { ProjectionModule, RebuildOptions, RebuildReport } from "./rebuild-options.js";
export { type RekeyOptions, rekeyStore, type StoreRekeyReport } from "./rekey-store.js";
export type { ProjectionRunner } from "./runner.js";
export type { FailurePolicy, ProjectionReport, RunnerOptions } from "./runner-options.js";
export type { ProjectionRecovery, RefusedCheckpoint } from "./runner-start.js";
export { salvageStore } from "./salvage-store.js";
export type { Sink, SinkOptions, SinkReport } from "./sink.js";
export type { SinkRunner, SinkStatus } from "./sink-runner.js";
export { startProjection } from "./start-projection.js";
export { type BufferedAppendOptions, Store, type StoreCheckpoint, type StoreOptions } from "./store.js";
export { StoreReader } from "./store-reader.js";
