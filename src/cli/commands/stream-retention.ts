/** `varve stream …`: what of streams is to be forgotten. */

import { Command, InvalidArgumentError, Option } from "commander";
import type { ExpectedVersion } from "../../events/index.js";
import type { Store } from "../../index.js";
import { type CommonOptions, expectedVersion, storeCommand, wholeNumber } from "../arguments.js";
import { UsageError } from "../failure.js";
import type { CommandBuilder, CommandContext } from "../program.js";
import { withExistingStore } from "../stores.js";

const MS_PER_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const UNDONE = "\nThe events are hidden at once from who reads the stream; `varve scavenge` takes them from the disk.";

type Change = (store: Store) => Promise<{ readonly lsn: number }>;

/** Does it, and says what is done. */
async function change(
  { output, stderr }: CommandContext,
  place: CommonOptions,
  what: Readonly<Record<string, string | number>>,
  work: Change,
  readable: string,
): Promise<void> {
  await withExistingStore(place, stderr, async (store) => {
    const { lsn } = await work(store).catch(refuse);
    await output.print({ ...what, lsn }, () => `${readable} (LSN ${lsn})`);
  });
}

function refuse(error: unknown): never {
  if (error instanceof TypeError || error instanceof RangeError) throw new UsageError(error.message, { cause: error });
  throw error;
}

/** Milliseconds of "90s", "30d". */
export function duration(text: string): number {
  const [, count, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? [];
  const ms = Number(count) * (MS_PER_UNIT[unit ?? ""] ?? Number.NaN);
  if (Number.isSafeInteger(ms) && ms > 0) return ms;
  throw new InvalidArgumentError("It must be a time as 500ms, 90s, 15m, 12h or 30d.");
}

function expectedVersionOption(): Option {
  return new Option("--expected-version <version>", "what the stream must be").argParser(expectedVersion);
}

const truncateCommand: CommandBuilder = (context) =>
  storeCommand("truncate", "forget a stream's events below a version")
    .argument("<name>", "the stream")
    .requiredOption("--before <version>", "the first version that is kept", wholeNumber(1))
    .addHelpText("after", UNDONE)
    .action((stream: string, options: CommonOptions & { readonly before: number }) => {
      const { before } = options;
      const work: Change = (open) => open.truncateStream(stream, { before });
      return change(context, options, { stream, before }, work, `${stream} begins with version ${before}`);
    });

interface ByName extends CommonOptions {
  readonly prefix?: true;
  readonly expectedVersion?: ExpectedVersion;
}

function checkByName({ prefix, expectedVersion: expected }: ByName): void {
  if (prefix === true && expected !== undefined) throw new UsageError("--expected-version is for one stream");
}

const deleteCommand: CommandBuilder = (context) =>
  storeCommand("delete", "forget a stream's events; it can be written to again, and goes on with its versions")
    .argument("<name>", "the stream")
    .option("--prefix", "all streams whose names begin with <name>")
    .addOption(expectedVersionOption())
    .addHelpText("after", UNDONE)
    .action((name: string, options: ByName) => {
      checkByName(options);
      const { expectedVersion: expected = "exists" } = options;
      if (typeof expected === "string" && expected !== "exists")
        throw new UsageError("--expected-version must be a version, or exists");
      if (options.prefix === true) {
        const work: Change = (open) => open.deleteStreams(name);
        return change(context, options, { prefix: name }, work, `the streams ${name}… are deleted`);
      }
      const work: Change = (open) => open.deleteStream(name, { expectedVersion: expected });
      return change(context, options, { stream: name }, work, `${name} is deleted`);
    });

const tombstoneCommand: CommandBuilder = (context) =>
  storeCommand("tombstone", "forget a stream for good: it is neither read nor written any more")
    .argument("<name>", "the stream")
    .option("--prefix", "all streams whose names begin with <name>, those to come included")
    .addOption(expectedVersionOption())
    .addHelpText("after", UNDONE)
    .action((name: string, options: ByName) => {
      checkByName(options);
      const { expectedVersion: expected = "any" } = options;
      if (options.prefix === true) {
        const work: Change = (open) => open.tombstoneStreams(name);
        return change(context, options, { prefix: name }, work, `the streams ${name}… are tombstoned`);
      }
      const work: Change = (open) => open.tombstoneStream(name, { expectedVersion: expected });
      return change(context, options, { stream: name }, work, `${name} is tombstoned`);
    });

interface RetainOptions extends CommonOptions {
  readonly maxAge?: number;
  readonly maxCount?: number;
}

const retainCommand: CommandBuilder = (context) =>
  storeCommand("retain", "say how much of a stream is kept; without options everything is, from now on")
    .argument("<name>", "the stream")
    .option("--max-age <time>", "how long events are kept: 500ms, 90s, 15m, 12h, 30d", duration)
    .option("--max-count <n>", "how many of the newest events are kept", wholeNumber(1))
    .addHelpText("after", UNDONE)
    .action((stream: string, options: RetainOptions) => {
      const { maxAge, maxCount } = options;
      const bounds = { ...(maxAge !== undefined && { maxAgeMs: maxAge }), ...(maxCount !== undefined && { maxCount }) };
      const work: Change = (open) => open.retainStream(stream, bounds);
      return change(context, options, { stream, ...bounds }, work, `${stream} is kept as said`);
    });

export const streamCommand: CommandBuilder = (context) => {
  const summary = "say what of streams is to be forgotten";
  const command = new Command("stream").summary(summary).description(summary);
  for (const build of [truncateCommand, deleteCommand, tombstoneCommand, retainCommand]) {
    command.addCommand(build(context));
  }
  return command;
};
