/** What many seeds came to. */

import type { SeedReport } from "./scenario.js";

export interface Total {
  /** Disks that a power cut left. */
  readonly powerCuts: number;
  /** Processes that were killed. */
  readonly deaths: number;
  readonly recoveries: number;
  readonly attachments: number;
  /** How often the oracle read a store. */
  readonly verifications: number;
  /** Stores that refused because of injected damage. */
  readonly refusals: number;
  readonly acknowledged: number;
  readonly refusedAppends: number;
  /** Found without having been acknowledged. */
  readonly unacknowledgedKept: number;
  readonly voids: number;
  /** Of disks: those that a power cut can come before and after. */
  readonly operations: number;
  /** Of key and nonce, in encrypted stores: no two are the same, over all processes and copies of a seed. */
  readonly noncePairs: number;
  readonly nonceKeys: number;
  /** How often a process went over to another key. */
  readonly rotations: number;
  readonly backups: number;
  /** Backups that were found on a disk, restored and judged. */
  readonly restores: number;
  readonly rekeyings: number;
  readonly repairs: number;
  /** LSNs that repairs named as lost. */
  readonly lostLsns: number;
  /** How often one of these three was cut off. */
  readonly cuts: number;
  /** Copies of disks whose file of subject keys was damaged; of these, openings that were refused; and events that were, of the others. */
  readonly keyFileDamages: number;
  readonly keyFileRefusals: number;
  readonly keyFileRefusedReadings: number;
  /** Of whole projections, and of single documents, that came to their end. */
  readonly rebuilds: number;
  readonly documentRebuilds: number;
  /** Folds of streams from snapshots, each compared with its events. */
  readonly snapshotFolds: number;
  readonly sinkCommits: number;
  /** Of subjects, acknowledged. */
  readonly forgettings: number;
  /** Of events of subjects, by anybody; and of these, without content. */
  readonly readings: number;
  readonly forgottenReadings: number;
  readonly faults: Readonly<Record<string, number>>;
}

export function emptyTotal(): Total {
  return {
    powerCuts: 0,
    deaths: 0,
    recoveries: 0,
    attachments: 0,
    verifications: 0,
    refusals: 0,
    acknowledged: 0,
    refusedAppends: 0,
    unacknowledgedKept: 0,
    voids: 0,
    operations: 0,
    noncePairs: 0,
    nonceKeys: 0,
    rotations: 0,
    backups: 0,
    restores: 0,
    rekeyings: 0,
    repairs: 0,
    lostLsns: 0,
    cuts: 0,
    keyFileDamages: 0,
    keyFileRefusals: 0,
    keyFileRefusedReadings: 0,
    rebuilds: 0,
    documentRebuilds: 0,
    snapshotFolds: 0,
    sinkCommits: 0,
    forgettings: 0,
    readings: 0,
    forgottenReadings: 0,
    faults: {},
  };
}

export function addReport(total: Total, report: Total | SeedReport): Total {
  const faults: Record<string, number> = { ...total.faults };
  for (const [name, count] of Object.entries(report.faults)) faults[name] = (faults[name] ?? 0) + count;
  const sums = Object.fromEntries(
    Object.entries(total)
      .filter(([name]) => name !== "faults")
      .map(([name, value]) => [name, (value as number) + (report[name as "powerCuts"] as number)]),
  );
  return { ...(sums as unknown as Total), faults };
}
