import type { Command } from "commander";
import { type CommonOptions, instant, storeCommand, wholeNumber } from "../arguments.js";
import { addLimit } from "../graph-arguments.js";
import { printTruncation, within } from "../graph-query.js";
import { formatInstant } from "../instant.js";
import type { CommandContext } from "../program.js";
import { withReader } from "../stores.js";

interface ChangesOptions extends CommonOptions {
  readonly after?: number;
  readonly recordedFrom?: number;
  readonly recordedTo?: number;
  readonly limit?: number;
  readonly all?: true;
}

const DETAILS = `
The list ends with { "next", "hasMore" }: give next as --after to go on behind it, now or later. What one LSN changed stays together, so there
can be somewhat more than --limit (default: 1,000).`;

export function graphChangesCommand({ output }: CommandContext): Command {
  return addLimit(storeCommand("changes", "list which nodes and edges changed, in the order of LSNs"), "changes or so")
    .option("--after <lsn>", "only above this LSN: what next was", wholeNumber(0))
    .option("--recorded-from <time>", "only what was recorded then or later", instant)
    .option("--recorded-to <time>", "only what was recorded before", instant)
    .option("--all", "go on to the end, --limit at a time")
    .addHelpText("after", DETAILS)
    .action(async ({ after, recordedFrom, recordedTo, limit, all, ...place }: ChangesOptions) => {
      await withReader(place, [], async (reader) => {
        const graph = await reader.graph();
        const pages = within(() =>
          graph.changes({
            ...(after !== undefined && { after }),
            ...(recordedFrom !== undefined && { recordedFrom }),
            ...(recordedTo !== undefined && { recordedTo }),
            ...(limit !== undefined && { limit }),
          }),
        );
        await printTruncation(output, pages.truncatedBefore);
        for (const { changes, next, hasMore } of pages) {
          for (const each of changes) {
            if (output.gone.aborted) return;
            const { lsn, recordedAt, kind, id, change } = each;
            await output.print(each, () => `${lsn}  ${formatInstant(recordedAt)}  ${kind} ${id} ${change}`);
          }
          if (hasMore && all === true) continue;
          await output.print({ next, hasMore }, () =>
            hasMore ? `there are more after ${next}` : `no more up to ${next}`,
          );
          return;
        }
      });
    });
}
