/** Derived state: the runner of projections. Everything here may be thrown away and rebuilt from the log. */

export type { Aggregate, AggregateOptions, AggregateResult, SnapshotPolicy } from "./aggregate.js";
export type { RefusalReason } from "./checkpoint-file.js";
export type { ParkedEvent } from "./checkpoint-format.js";
export type { RefusedCheckpoint } from "./checkpoint-parts.js";
export { type Decider, decidedEvents, type HandleOptions, type HandleResult } from "./decider.js";
export {
  type DocumentHandlers,
  defineProjection,
  type EventOf,
  type MultiStreamDefinition,
  multiStream,
  type SingleStreamDefinition,
  type StateDefinition,
  type StateHandlers,
  singleStream,
} from "./define-projection.js";
export { type RebuildDocumentJobOptions, rebuildDocument } from "./document-job.js";
export type { EventFeed, FeedEvent } from "./event-feed.js";
export type {
  BatchBuilder,
  BatchEdge,
  BatchEdgeInput,
  BatchNode,
  BatchNodeInput,
  BatchPropertyOptions,
  BatchReference,
} from "./graph/batch-builder.js";
export type { EntityChange } from "./graph/changed-entities.js";
export type {
  ChangesPage,
  ChangesQuery,
  EntityReference,
  GraphOverlap,
  GraphVersion,
  HistoryWindow,
} from "./graph/chronicle.js";
export type {
  AboutChange,
  AboutSubject,
  DeleteOptions,
  Detach,
  EdgeInput,
  ExpectedEntityVersion,
  NodeInput,
  PropertyOptions,
  RetractOptions,
  UpsertInput,
  ValidPeriod,
} from "./graph/command-input.js";
export type { ComponentQuery, GraphComponent } from "./graph/components.js";
export type { GraphConstraint } from "./graph/constraint-events.js";
export type { AddedConstraint } from "./graph/constraint-list.js";
export type { EdgeQuery } from "./graph/edge-filter.js";
export type { EntityOf, GraphEdge, GraphNode } from "./graph/entity.js";
export type { Graph } from "./graph/graph.js";
export type {
  GraphBatchResult,
  GraphCommandResult,
  GraphPurgeResult,
  GraphUpsertResult,
  PurgeOptions,
} from "./graph/graph-commands.js";
export type { GraphChange, HistoryOptions } from "./graph/graph-history.js";
export type { GraphMatch, MatchRow } from "./graph/graph-match.js";
export type { GraphMemory } from "./graph/graph-memory.js";
export type { AsOf, RecordedAt, ValidWindow } from "./graph/graph-point.js";
export type { GraphResults } from "./graph/graph-results.js";
export type { GraphView } from "./graph/graph-view.js";
export type { IndexDefinition } from "./graph/indexed-property.js";
export type { GraphLineage, LineageQuery } from "./graph/lineage.js";
export type { NamedSnapshot } from "./graph/named-snapshots.js";
export type { NodeQuery, PropertyConditions } from "./graph/node-filter.js";
export type { FindQuery } from "./graph/ordered-find.js";
export type { During, GraphDuring, OverlapRow } from "./graph/overlap-match.js";
export type { PageRank, PageRankQuery, RankedNode } from "./graph/page-rank.js";
export type { Properties, PropertyValue } from "./graph/property.js";
export type { GraphProvenance } from "./graph/provenance.js";
export type { GraphPath, PathQuery } from "./graph/shortest-path.js";
export type { GraphOptions } from "./graph/start-graph.js";
export type { Subgraph, SubgraphQuery } from "./graph/subgraph.js";
export type { StepQuery, TraverseQuery, TraverseStep } from "./graph/traversal.js";
export type { PropertyRange, RangeBound } from "./graph/value-range.js";
export type {
  DefinedVectors,
  VectorDefinition,
  VectorMetric,
  VectorStorage,
  VectorsReference,
} from "./graph/vector-definition.js";
export type { OpenedVectors, OpenVectorsOptions } from "./graph/vector-keeper.js";
export type { NearestQuery, NearNode } from "./graph/vector-search.js";
export type { ProjectOptions } from "./inline-projections.js";
export type { WaitOptions } from "./lsn-waiters.js";
export { openReader, openStore, type ReaderOptions } from "./open-store.js";
export type { RetryReport } from "./parked-events.js";
export type { Projection, ProjectionDocuments } from "./projection.js";
export { type ProjectionFiles, type SavedState, setProjectionPaused } from "./projection-files.js";
export type { ProjectionMetrics, ProjectionProgress, ProjectionStatus } from "./projection-progress.js";
export { loadProjection, type RebuildJobOptions, rebuildProjection } from "./rebuild-job.js";
export type { ProjectionModule, RebuildOptions, RebuildReport } from "./rebuild-options.js";
export { type RekeyOptions, rekeyStore, type StoreRekeyReport } from "./rekey-store.js";
export type { ProjectionRunner } from "./runner.js";
export type { FailurePolicy, ProjectionReport, RunnerOptions } from "./runner-options.js";
export type { ProjectionRecovery } from "./runner-start.js";
export type { RebuildDocumentOptions } from "./running-document-rebuild.js";
export { salvageStore } from "./salvage-store.js";
export type { Sink, SinkOptions, SinkReport } from "./sink.js";
export type { SinkRunner, SinkStatus } from "./sink-runner.js";
export { startProjection } from "./start-projection.js";
export type { StateCodec } from "./state-codec.js";
export { Store, type StoreOptions } from "./store.js";
export type { BufferedAppendOptions } from "./store-events.js";
export type { StoreCheckpoint } from "./store-maintenance.js";
export { StoreReader } from "./store-reader.js";
