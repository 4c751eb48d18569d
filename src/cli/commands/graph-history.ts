import { type Command, Option } from "commander";
import type { HistoryWindow, RecordedAt } from "../../index.js";
import { instant } from "../arguments.js";
import { UsageError } from "../failure.js";
import {
  addEntitySelection,
  type EntitySelection,
  entityOf,
  graphCommand,
  type PointOptions,
  recordedAt,
  withGraph,
} from "../graph-arguments.js";
import { formatRectangle, printableRectangle, printTruncation, requireKnown, within } from "../graph-query.js";
import type { CommandContext } from "../program.js";

const AXES = ["valid", "recorded"] as const;

interface HistoryOptions extends PointOptions, EntitySelection {
  readonly validFrom?: number;
  readonly validTo?: number;
  readonly recordedFrom?: RecordedAt;
  readonly recordedTo?: RecordedAt;
  readonly at?: (typeof AXES)[number];
  readonly coalesce?: true;
}

const DETAILS = `
Each line is a rectangle: what was said about a period of valid time, and from when to when the store believed it.
--valid and --recorded say where --label and --where look for the node; its whole history is shown, or what lies in the window
that --valid-from, --valid-to, --recorded-from and --recorded-to make: half-open, and open where they are left out.`;

export function graphHistoryCommand({ output }: CommandContext): Command {
  return addEntitySelection(graphCommand("history", "show everything that was ever said about a node or an edge"))
    .addOption(new Option("--at <axis>", "only along this axis").choices(AXES))
    .option("--coalesce", "join rectangles that touch and hold the same")
    .option("--valid-from <time>", "only what held in a window of valid time: its begin", instant)
    .option("--valid-to <time>", "its end", instant)
    .option("--recorded-from <time>", "only what was believed in a window of recorded time: its begin", recordedAt)
    .option("--recorded-to <time>", "its end", recordedAt)
    .addHelpText("after", DETAILS)
    .action(async (options: HistoryOptions) => {
      const { at, coalesce } = options;
      await withGraph(options, async (graph, view) => {
        const window = windowOf(options);
        if (window !== null && (at !== undefined || coalesce))
          throw new UsageError("a window goes without --at and --coalesce");
        const { kind, id } = entityOf(view, options);
        requireKnown(graph, kind, id);
        const how = { ...(at !== undefined && { at }), ...(coalesce !== undefined && { coalesce }) };
        const rectangles =
          window === null ? graph.history(kind, id, how) : within(() => graph.between(kind, id, window));
        await printTruncation(output, rectangles.truncatedBefore);
        for (const rectangle of rectangles) {
          if (output.gone.aborted) break;
          await output.print(printableRectangle(rectangle), () => formatRectangle(rectangle));
        }
      });
    });
}

/** Null when no window was asked for. */
function windowOf({ validFrom, validTo, recordedFrom, recordedTo }: HistoryOptions): HistoryWindow | null {
  const window = {
    ...((validFrom ?? validTo) !== undefined && { valid: boundsOf(validFrom, validTo) }),
    ...((recordedFrom ?? recordedTo) !== undefined && { recorded: boundsOf(recordedFrom, recordedTo) }),
  };
  return Object.keys(window).length === 0 ? null : window;
}

function boundsOf<Bound>(from: Bound | undefined, to: Bound | undefined): { from?: Bound; to?: Bound } {
  return { ...(from !== undefined && { from }), ...(to !== undefined && { to }) };
}
