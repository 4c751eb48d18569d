import type { Readable } from "node:stream";
import type { Command } from "commander";
import { Option } from "commander";
import type { Durability, EventInput, ExpectedVersion } from "../../events/index.js";
import {
  type CommonOptions,
  durabilityOption,
  expectedVersion,
  jsonObject,
  jsonValue,
  schemaOption,
  storeCommand,
} from "../arguments.js";
import { parseEventLine } from "../event-line.js";
import { UsageError } from "../failure.js";
import { badLine, readNdjson } from "../ndjson.js";
import type { CommandContext } from "../program.js";
import { withStore } from "../stores.js";

interface AppendOptions extends CommonOptions {
  readonly stream: string;
  readonly type?: string;
  readonly data?: unknown;
  readonly metadata?: Record<string, unknown>;
  readonly id?: string;
  readonly subject?: string;
  readonly expectedVersion?: ExpectedVersion;
  readonly durability: Durability;
  readonly schema?: readonly string[];
}

export function appendCommand({ output, stdin, stderr }: CommandContext): Command {
  return storeCommand("append", "append events to one stream, all of them or none")
    .requiredOption("--stream <name>", "the stream")
    .option("--type <name>", "the event's type; without it events are read from stdin, one JSON object per line")
    .option("--data <json>", "the event's data", jsonValue)
    .option("--metadata <json>", "the event's metadata, an object", jsonObject)
    .option("--id <id>", "the event's id, by which a repeated append is recognised")
    .option("--subject <name>", "whom the event is about: its content is encrypted under this subject's key")
    .addOption(
      new Option("--expected-version <version>", "the stream's version: a number, any, exists or absent").argParser(
        expectedVersion,
      ),
    )
    .addOption(durabilityOption())
    .addOption(schemaOption())
    .action(async (options: AppendOptions) => {
      const { stream, durability, schema = [] } = options;
      const events = options.type === undefined ? await readEvents(stdin, stream, options) : [eventOf(options)];
      await withStore(options, stderr, { schemas: schema }, async (store) => {
        const { expectedVersion: expected = "any" } = options;
        const done = await store.append(stream, events, { expectedVersion: expected, durability }).catch(refuse);
        await output.print({ stream, events: events.length, ...done }, () => `${stream} is at version ${done.version}`);
      });
    });
}

// Events of the graph's types are checked field by field; what is wrong with them is wrong with the arguments.
function refuse(error: unknown): never {
  if (error instanceof TypeError || error instanceof RangeError) throw new UsageError(error.message, { cause: error });
  throw error;
}

function eventOf({ type = "", data, metadata, id, subject }: AppendOptions): EventInput {
  return {
    type,
    data,
    ...(metadata !== undefined && { metadata }),
    ...(id !== undefined && { id }),
    ...(subject !== undefined && { subject }),
  };
}

async function readEvents(stdin: Readable, stream: string, options: AppendOptions): Promise<EventInput[]> {
  const foreign = (["data", "metadata", "id", "subject"] as const).find((name) => options[name] !== undefined);
  if (foreign !== undefined) throw new UsageError(`--${foreign} goes with --type`);
  if ("isTTY" in stdin && stdin.isTTY === true)
    throw new UsageError("give --type, or events on stdin, one JSON object per line");
  const events: EventInput[] = [];
  for await (const lines of readNdjson(stdin)) {
    for (const line of lines) {
      const parsed = parseEventLine(line);
      if (parsed.stream !== null && parsed.stream !== stream)
        throw badLine(line.number, `is for the stream ${parsed.stream}, not ${stream}`);
      events.push(parsed.event);
    }
  }
  if (events.length === 0) throw new UsageError("stdin holds no event");
  return events;
}
