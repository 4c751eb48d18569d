import type { Command } from "commander";
import { nonEmpty } from "../arguments.js";
import { formatEvent, printableEvent } from "../event-line.js";
import {
  addEntitySelection,
  type EntitySelection,
  entityOf,
  graphCommand,
  type PointOptions,
  pointOf,
  withGraph,
} from "../graph-arguments.js";
import { formatEntity, formatTruncation, printableRectangle, requireKnown } from "../graph-query.js";
import type { CommandContext } from "../program.js";

type LineageOptions = PointOptions & EntitySelection & { readonly property?: string };

export function graphLineageCommand({ output }: CommandContext): Command {
  return addEntitySelection(graphCommand("lineage", "show which event made a version, or one property of it"))
    .option("--property <key>", "the event that set or removed this property", nonEmpty)
    .action(async (options: LineageOptions) => {
      await withGraph(options, async (graph, view) => {
        const { kind, id } = entityOf(view, options);
        requireKnown(graph, kind, id);
        const { property } = options;
        const point = pointOf(view.validAt, options.recorded ?? { lsn: view.lsn });
        const { version, lsn, event, truncatedBefore } = await graph.lineage(kind, id, {
          ...point,
          ...(property !== undefined && { property }),
        });
        const printable = {
          version: version === null ? null : printableRectangle(version),
          lsn,
          event: event === null ? null : printableEvent(event),
          ...(truncatedBefore !== null && { truncatedBefore }),
        };
        const lines = [
          ...(truncatedBefore === null ? [] : [formatTruncation(truncatedBefore)]),
          version === null ? "nothing held there" : formatEntity(version),
        ];
        if (event !== null) lines.push(formatEvent(event));
        else if (version !== null) lines.push("the event that made it is not known any more");
        await output.print(printable, () => lines.join("\n"));
      });
    });
}
