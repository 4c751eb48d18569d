import type { Command } from "commander";
import { type CommonOptions, instant, storeCommand, wholeNumber } from "../arguments.js";
import { UsageError } from "../failure.js";
import { within } from "../graph-query.js";
import { formatInstant } from "../instant.js";
import type { CommandContext } from "../program.js";
import { withReader } from "../stores.js";

interface LsnOptions extends CommonOptions {
  readonly at?: number;
  readonly of?: number;
}

export function graphLsnCommand({ output }: CommandContext): Command {
  return storeCommand("lsn", "translate a recorded time into the graph's LSN at that time, or back")
    .option("--at <time>", "the LSN at which the graph stood at this recorded time", instant)
    .option("--of <lsn>", "when this LSN was recorded", wholeNumber(0))
    .action(async ({ at, of, ...place }: LsnOptions) => {
      if ((at === undefined) === (of === undefined)) throw new UsageError("say either --at or --of");
      await withReader(place, [], async (reader) => {
        const graph = await reader.graph();
        const lsn = at === undefined ? (of ?? 0) : graph.lsnAt(at);
        const recordedAt = within(() => graph.recordedAtOf(lsn));
        await output.print({ lsn, recordedAt }, () =>
          recordedAt === null ? `LSN ${lsn}, before anything was recorded` : `LSN ${lsn}  ${formatInstant(recordedAt)}`,
        );
      });
    });
}
