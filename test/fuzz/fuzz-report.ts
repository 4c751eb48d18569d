/** The counts of several processes together, as a table. */

import type { FuzzReport } from "./fuzz-run.js";

export function mergeReports(reports: readonly FuzzReport[]): FuzzReport {
  const counts: Record<string, Record<string, number>> = {};
  for (const report of reports) {
    for (const [kind, row] of Object.entries(report.counts)) {
      const sum = counts[kind] ?? {};
      counts[kind] = sum;
      for (const [outcome, count] of Object.entries(row)) sum[outcome] = (sum[outcome] ?? 0) + count;
    }
  }
  return {
    counts,
    failures: reports.flatMap(({ failures }) => failures),
    done: reports.reduce((sum, { done }) => sum + done, 0),
    largestAllocation: Math.max(0, ...reports.map(({ largestAllocation }) => largestAllocation)),
  };
}

export function formatReport(report: FuzzReport, seconds: number): string {
  const lines = Object.entries(report.counts).map(([kind, row]) => {
    const outcomes = Object.entries(row).map(([outcome, count]) => `${outcome} ${count}`);
    return `${kind.padEnd(26)} ${outcomes.join(" · ")}`;
  });
  lines.push(
    `${report.done} kinds of damage in ${seconds.toFixed(0)} s, largest allocation ${report.largestAllocation} bytes`,
  );
  lines.push(`${report.failures.length} failures`, ...report.failures);
  return lines.join("\n");
}
