import type { Command } from "commander";
import { type CommonOptions, storeCommand, wholeNumber } from "../arguments.js";
import { formatProvenance, formatTruncation } from "../graph-query.js";
import type { CommandContext } from "../program.js";
import { formatCount } from "../progress.js";
import { withReader } from "../stores.js";

export function graphStatusCommand({ output }: CommandContext): Command {
  return storeCommand("status", "how far the graph is, how large, what was refused and purged").action(
    async (options: CommonOptions) => {
      await withReader(options, [], async (reader) => {
        const { lsn, counts, truncatedBefore, purgedVersions, rejectedCount, constraints, snapshots, vectors } =
          await reader.graph();
        const status = {
          lsn,
          ...counts,
          constraints: constraints.length,
          snapshots: snapshots.length,
          vectors: vectors.length,
          rejectedEvents: rejectedCount,
          purgedVersions,
          truncatedBefore,
        };
        await output.print(status, () =>
          [
            `LSN ${formatCount(lsn)}`,
            `${formatCount(counts.nodes)} nodes and ${formatCount(counts.edges)} edges were ever known`,
            `${constraints.length} constraints, ${snapshots.length} snapshots, ${vectors.length} definitions of vectors`,
            `${formatCount(rejectedCount)} events were refused, ${formatCount(purgedVersions)} versions purged`,
            ...(truncatedBefore === null ? [] : [formatTruncation(truncatedBefore)]),
          ].join("\n"),
        );
      });
    },
  );
}

export function graphRejectionsCommand({ output }: CommandContext): Command {
  return storeCommand(
    "rejections",
    "list the events that the graph's rules refused, the oldest first; they changed nothing",
  )
    .addHelpText(
      "after",
      "\nOnly what another process was faster with is in the log at all. The last 16,384 are known.",
    )
    .action(async (options: CommonOptions) => {
      await withReader(options, [], async (reader) => {
        for (const rejection of (await reader.graph()).rejections) {
          if (output.gone.aborted) break;
          const { lsn, code, kind, id } = rejection;
          await output.print(rejection, () => `LSN ${lsn}  ${code}  ${kind}${id === 0 ? "" : ` ${id}`}`);
        }
      });
    });
}

export function graphProvenanceCommand({ output }: CommandContext): Command {
  return storeCommand("provenance", "show where the change at an LSN comes from, as its event says")
    .argument("<lsn>", "what history shows as lsn", wholeNumber(1))
    .action(async (lsn: number, options: CommonOptions) => {
      await withReader(options, [], async (reader) => {
        const provenance = await (await reader.graph()).provenance(lsn);
        await output.print({ lsn, provenance }, () =>
          provenance === null ? `LSN ${lsn} says nothing about it` : `LSN ${lsn}${formatProvenance(provenance)}`,
        );
      });
    });
}
