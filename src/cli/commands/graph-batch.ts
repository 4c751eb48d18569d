import type { Command } from "commander";
import type { GraphBatchResult } from "../../index.js";
import { type CommonOptions, storeCommand } from "../arguments.js";
import { UsageError } from "../failure.js";
import { aboutOf, addProvenance, type ProvenanceOptions } from "../graph-arguments.js";
import { addLines, batchError } from "../graph-batch-lines.js";
import { type NdjsonLine, openSource, readNdjson } from "../ndjson.js";
import type { CommandContext } from "../program.js";
import { formatCount } from "../progress.js";
import { withStore } from "../stores.js";

interface BatchOptions extends CommonOptions, ProvenanceOptions {
  readonly subject?: string;
}

/** More lines than this are no batch, whatever they say. */
const LINES_MAX = 10_000;

const DETAILS = `
Each line is a change: {"op":"createNode","as":"bo","label":"Person","properties":{"name":"Bo"},"validFrom":"2020-01-01"}. op is createNode, upsertNode,
putNode, patchNode, replaceNode, deleteNode, retractNode, or the same of an edge (but upsert); its fields are those of the command, and id is the one
that is changed. Behind a line with "as", its name stands for the id: {"op":"createEdge","label":"KNOWS","source":"bo","target":17}.
A vector is an array of numbers, bytes are {"bytes":"<base64>"}. At most 10,000 lines.`;

export function graphBatchCommand({ output, stdin, stderr }: CommandContext): Command {
  return addProvenance(storeCommand("batch", "make several changes at once, all of them or none, from lines of JSON"))
    .argument("<file>", "the file, or - for stdin")
    .option("--subject <name>", "whom it is about: the event is encrypted under this subject's key")
    .addHelpText("after", DETAILS)
    .action(async (file: string, options: BatchOptions) => {
      const { subject } = options;
      // A file that cannot be read must not leave an empty store behind.
      const lines = await linesOf(await openSource(file, stdin));
      await withStore(options, stderr, {}, async (store) => {
        const graph = await store.graph();
        const how = { ...aboutOf(options), ...(subject !== undefined && { subject }) };
        let done: GraphBatchResult;
        try {
          done = await graph.batch((batch) => addLines(batch, lines), how);
        } catch (error) {
          if (error instanceof TypeError) throw new UsageError(error.message, { cause: error });
          throw batchError(error, lines);
        }
        const { lsn, ids } = done;
        await output.print({ lsn, ids }, () => `${formatCount(ids.length)} changes at LSN ${lsn}`);
      });
    });
}

async function linesOf(source: AsyncIterable<Uint8Array>): Promise<readonly NdjsonLine[]> {
  const lines: NdjsonLine[] = [];
  for await (const some of readNdjson(source)) {
    lines.push(...some);
    if (lines.length > LINES_MAX) break; // the batch says that there are too many
  }
  return lines;
}
