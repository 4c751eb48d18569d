import { type Command, InvalidArgumentError } from "commander";
import type { EntityReference, RecordedAt } from "../../index.js";
import { type CommonOptions, storeCommand, wholeNumber } from "../arguments.js";
import { recordedAt } from "../graph-arguments.js";
import {
  formatEntity,
  formatPeriod,
  printableRectangle,
  printTruncation,
  requireKnown,
  within,
} from "../graph-query.js";
import type { CommandContext } from "../program.js";
import { withReader } from "../stores.js";

interface OverlapsOptions extends CommonOptions {
  readonly recorded?: RecordedAt;
}

const DETAILS = `
An entity is node:<id> or edge:<id>. An edge holds where it and both its ends exist. --recorded also takes lsn:<number>.`;

export function graphOverlapsCommand({ output }: CommandContext): Command {
  return storeCommand("overlaps", "list the periods of valid time in which two nodes or edges both held")
    .argument("<a>", "the one", entityReference)
    .argument("<b>", "the other", entityReference)
    .option("--recorded <time>", "as the store knew it then (default: now)", recordedAt)
    .addHelpText("after", DETAILS)
    .action(async (a: EntityReference, b: EntityReference, { recorded, ...place }: OverlapsOptions) => {
      await withReader(place, [], async (reader) => {
        const graph = await reader.graph();
        for (const { kind, id } of [a, b]) requireKnown(graph, kind, id);
        const overlaps = within(() => graph.overlaps(a, b, recorded === undefined ? {} : { recordedAt: recorded }));
        await printTruncation(output, overlaps.truncatedBefore);
        for (const { validFrom, validTo, a: first, b: second } of overlaps) {
          if (output.gone.aborted) break;
          const printable = { validFrom, validTo, a: printableRectangle(first), b: printableRectangle(second) };
          await output.print(printable, () =>
            [formatPeriod(validFrom, validTo), ...[first, second].map((each) => `    ${formatEntity(each)}`)].join(
              "\n",
            ),
          );
        }
      });
    });
}

function entityReference(text: string): EntityReference {
  const [kind, id = "", ...more] = text.split(":");
  if ((kind !== "node" && kind !== "edge") || more.length > 0) {
    throw new InvalidArgumentError("It must be node:<id> or edge:<id>.");
  }
  return { kind, id: wholeNumber(1)(id) };
}
