/** What projections may use of events. */

export type {
  Anchor,
  AnchorOptions,
  ArchivedSegment,
  BackupReport,
  CheckpointReport,
  Compression,
  CoreState,
  DamageKind,
  DamageNote,
  DroppedVersions,
  Ed25519Key,
  EncryptionOptions,
  IoDemand,
  IoDescription,
  KeySource,
  LogExtent,
  LsnRange,
  PlannedSegment,
  RecoveryReport,
  RekeyReport,
  RestoreReport,
  ScavengeReport,
  SealedVerification,
  StateCipher,
  StateCiphers,
  StoreHealth,
  TruncationReport,
  VerifiedAnchor,
  VerifySealedOptions,
} from "../wal/index.js";
export {
  checkEncryption,
  checkOptionNames,
  choiceOption,
  FileLock,
  integerOption,
  isEncrypted,
  isStore,
  largeMemory,
  MemoryFile,
} from "../wal/index.js";
export { checkExpectedVersion, judge } from "./append-request.js";
export type { AppendOptions, StreamAppend } from "./appender.js";
export type { BackupOptions, RestoreStoreOptions } from "./backup-options.js";
export type { AppendResult, BufferedResult } from "./batch-ledger.js";
export type { Durability, EventInput, EventMap, ExpectedVersion, RecordedEvent } from "./event.js";
export { EventCursor } from "./event-cursor.js";
export { EventReader } from "./event-reader.js";
export type {
  Direction,
  ReadAllOptions,
  ReadStreamOptions,
  RecordFeed,
  StreamStanding,
  SubscribeOptions,
} from "./event-source.js";
export { EventStore, type EventStoreStats } from "./event-store.js";
export {
  attest,
  checkedAttestationKey,
  type ForgetAttestation,
  type ForgetOptions,
  isForgetAttestation,
  verifyForgetAttestation,
} from "./forget-attestation.js";
export { COMPRESSIONS, checkDirectory, type EventStoreOptions } from "./open-options.js";
export { type AllPageOptions, type Page, readAllPage, readStreamPage, type StreamPageOptions } from "./read-page.js";
export { RecordCursor, type TypeNames } from "./record-cursor.js";
export { StoredEvent } from "./recorded-event.js";
export { type RepairOptions, type RepairReport, repairStore } from "./repair-store.js";
export { restoreStore } from "./restore-store.js";
export {
  type DeleteStreamOptions,
  type RetainStreamOptions,
  type RetentionChange,
  refusalOf,
  type TombstoneStreamOptions,
  type TruncateBeforeOptions,
  type TruncateStreamOptions,
} from "./retention.js";
export { SUBJECT_FORGOTTEN } from "./retention-event.js";
export type { StreamRetention } from "./retention-state.js";
export { type SalvagedEvent, type SalvageOptions, type SalvageReport, salvageWith } from "./salvage-store.js";
export type { PayloadCodec } from "./schema-registry.js";
export { type SidePlace, sideRecords } from "./side-records.js";
export type { StreamGap } from "./stream-gaps.js";
export type { UpcastEvent, Upcaster, Upcasters } from "./upcasters.js";
export { verifyEvents } from "./verify-events.js";
