/** What events may use of the log: bytes in, LSNs out, durable order. */

export type { IoDemand, IoDescription } from "../ffi/index.js";
export type { AppendTicket, Batch } from "./batch.js";
export type { CheckpointReport } from "./checkpoint.js";
export { CheckpointSchedule } from "./checkpoint-schedule.js";
export type { CoreState } from "./control-file.js";
export type { RecoveryReport } from "./find-log.js";
export { RECORD_HEADER_BYTES } from "./format.js";
export type { HeadTable } from "./head-table.js";
export { inspectSegment, type SegmentItem } from "./inspect-segment.js";
export type { ArchivedSegment, LogRemover, ScavengeReport, TruncationReport } from "./log-removal.js";
export { LogView } from "./log-view.js";
export type { LsnRange } from "./lsn-ranges.js";
export { checkOptionNames, choiceOption, integerOption } from "./options.js";
export type { KeyOf, RecordKey } from "./record-key.js";
export { serveSealing } from "./seal-worker.js";
export type { Cut, PrefixCut, Removal } from "./sealed/removal.js";
export type { LogFrame as Frame } from "./sealed/sealed-format.js";
export { coreDirectory, segmentPath } from "./segment-name.js";
export { isStore } from "./store-directory.js";
export type { TieredReader } from "./tiered-reader.js";
export type { SealedVerification } from "./verify-sealed.js";
export { Wal, type WalOptions, type WalStats } from "./wal.js";
export type { SealDemand } from "./writer-contract.js";
