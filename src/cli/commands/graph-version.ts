import type { Command } from "commander";
import { StoreError } from "../../errors.js";
import {
  addEntitySelection,
  type EntitySelection,
  entityOf,
  graphCommand,
  type PointOptions,
  withGraph,
} from "../graph-arguments.js";
import { formatRectangle, formatTruncation, printableRectangle } from "../graph-query.js";
import type { CommandContext } from "../program.js";

const DETAILS = `
Unlike graph node and graph find, it shows an edge also where an end of it does not exist. entityVersion is what --expected-version
of a change takes: the LSN of the last event that changed the entity, at whatever time.`;

export function graphVersionCommand({ output }: CommandContext): Command {
  return addEntitySelection(graphCommand("version", "show the version of a node or an edge that held at a point"))
    .addHelpText("after", DETAILS)
    .action(async (options: PointOptions & EntitySelection) => {
      await withGraph(options, async (graph, view) => {
        const { kind, id } = entityOf(view, options);
        const { version } = graph.versionAt(kind, id, { validAt: view.validAt, recordedAt: { lsn: view.lsn } });
        const { truncatedBefore } = view;
        if (version === null) {
          const details = { kind, id, validAt: view.validAt, lsn: view.lsn, truncatedBefore };
          throw new StoreError("ERR_GRAPH_NOT_FOUND", `${kind} ${id} has no version there`, details);
        }
        const mark = truncatedBefore === null ? {} : { truncatedBefore };
        const lines = truncatedBefore === null ? [] : [formatTruncation(truncatedBefore)];
        const entityVersion = graph.versionOf(kind, id);
        await output.print({ ...printableRectangle(version), entityVersion, ...mark }, () =>
          [...lines, `${formatRectangle(version)}  the ${kind} is at version ${entityVersion}`].join("\n"),
        );
      });
    });
}
