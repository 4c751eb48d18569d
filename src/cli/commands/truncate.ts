import { constants } from "node:fs";
import { copyFile, mkdir, open as openFile, rename } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Command } from "commander";
import { type CommonOptions, storeCommand, wholeNumber } from "../arguments.js";
import { UsageError } from "../failure.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withExistingStore } from "../stores.js";

const SUMMARY = "drop the oldest segments of the log, when they are archived";

interface TruncateOptions extends CommonOptions {
  readonly before: number;
  readonly archive?: string;
  readonly withoutArchive?: true;
}

export function truncateCommand({ output, stderr }: CommandContext): Command {
  return storeCommand("truncate", SUMMARY)
    .requiredOption("--before <lsn>", "drop segments that lie wholly below this LSN", wholeNumber(1))
    .option("--archive <dir>", "copy each segment there first, durably")
    .option("--without-archive", "drop them without a copy")
    .addHelpText("after", "\nWhat is dropped is gone for all readers in the order of the log, and for all streams.")
    .action(async (options: TruncateOptions) => {
      const { archive: archiveDirectory, withoutArchive = false } = options;
      if ((archiveDirectory === undefined) !== withoutArchive)
        throw new UsageError("give either --archive or --without-archive");
      const progress = startProgress(stderr, "truncating the log");
      try {
        await withExistingStore(options, stderr, async (store) => {
          const archive =
            archiveDirectory === undefined
              ? ("none" as const)
              : ({ path }: { readonly path: string }) => copyTo(archiveDirectory, path);
          const report = await store.truncateBefore(options.before, { archive });
          progress.stop();
          const { horizon, droppedSegments, freedBytes } = report;
          await output.print(
            report,
            () =>
              `${formatCount(droppedSegments)} segments dropped, ${formatCount(freedBytes)} bytes freed; the log begins after LSN ${formatCount(horizon)}`,
          );
        });
      } catch (error) {
        if (error instanceof RangeError) throw new UsageError(error.message, { cause: error });
        throw error;
      } finally {
        progress.stop();
      }
    });
}

/** Durable when it resolves. A file of that name is there already when an earlier attempt was interrupted: it is written again. */
async function copyTo(directory: string, path: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const target = join(directory, basename(path));
  const partial = `${target}.partial`;
  await copyFile(path, partial, constants.COPYFILE_FICLONE);
  await sync(partial);
  await rename(partial, target);
  await sync(directory);
}

async function sync(path: string): Promise<void> {
  const file = await openFile(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
