/** `varve projection …`: read models from outside, beside the processes that run them. */

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Command, Option } from "commander";
import {
  type FailurePolicy,
  type ProjectionFiles,
  type ProjectionReport,
  rebuildDocument,
  rebuildProjection,
  type SavedState,
  setProjectionPaused,
} from "../../index.js";
import { loadProjection } from "../../projections/index.js";
import { type CommonOptions, encryptionOf, gathered, keylessCommand, storeCommand, wholeNumber } from "../arguments.js";
import { UsageError } from "../failure.js";
import { Interruption } from "../interruption.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withReader } from "../stores.js";

const FROM_FILES = "\nIt is told from the files: of a projection that runs, as of its last save.";

export function projectionListCommand({ output }: CommandContext): Command {
  return storeCommand("list", "the projections that have files in the store")
    .addHelpText("after", FROM_FILES)
    .action((options: CommonOptions) =>
      withReader(options, [], async (reader) => {
        for (const files of await reader.projections()) {
          const waiting = output.print(summaryOf(files), () => summaryLine(files));
          if (waiting !== undefined) await waiting;
        }
      }),
    );
}

export function projectionStatusCommand({ output }: CommandContext): Command {
  return storeCommand(
    "status",
    "one projection: its saved states, what is parked, whether it is paused or being rebuilt",
  )
    .argument("<name>", "the projection")
    .addHelpText("after", FROM_FILES)
    .action((name: string, options: CommonOptions) =>
      withReader(options, [], async (reader) => {
        const files = await reader.projectionFiles(name);
        const { watermark } = reader;
        await output.print({ ...files, watermark }, () => describe(files, watermark));
      }),
    );
}

interface RebuildArguments extends CommonOptions {
  readonly module: string;
  readonly name?: string;
  readonly schema?: readonly string[];
  readonly maxEventsPerSecond?: number;
  readonly checkpointEvery?: number;
  readonly onError?: FailurePolicy;
  readonly fresh?: true;
  readonly stream?: string;
  readonly key?: string;
}

const REBUILD_HELP = `
The module exports the projection, as it was given to store.project. The store may be open: this reads it beside its writers. A process that
runs this version goes over to the new state within a second, and one that will, begins with it. Interrupted by a signal or a kill, the
same command goes on from its last save.`;

export function projectionRebuildCommand(context: CommandContext): Command {
  return storeCommand("rebuild", "fold the whole log into a new state of a projection, in this process")
    .requiredOption("--module <file>", "the JavaScript module with the projection")
    .option("--name <name>", "which one, where the module exports several")
    .option("--schema <file>", "a .proto file with types of events (may be repeated)", gathered)
    .option("--max-events-per-second <n>", "goes no faster", wholeNumber(1))
    .option("--checkpoint-every <n>", "saves after so many events, to go on from (default: 1000000)", wholeNumber(1))
    .addOption(new Option("--on-error <policy>", "when apply throws").choices(["stop", "skip", "park"]).default("stop"))
    .option("--fresh", "begin at the first event, whatever an interrupted rebuild has left")
    .option("--stream <name>", "only the document of that stream, in the state that is saved")
    .option("--key <key>", "only the document of that key, where documents are not by stream")
    .addHelpText("after", REBUILD_HELP)
    .action((options: RebuildArguments) => {
      const key = keyOf(options);
      return key === null ? rebuild(context, options) : rebuildOne(context, options, key);
    });
}

/** The document that is meant; null: the whole state. */
function keyOf(options: RebuildArguments): string | null {
  const { stream, key, fresh, maxEventsPerSecond, checkpointEvery } = options;
  if (stream === undefined && key === undefined) return null;
  if (stream !== undefined && key !== undefined) throw new UsageError("--stream and --key are the same: give one");
  for (const [name, value] of Object.entries({ fresh, maxEventsPerSecond, checkpointEvery })) {
    if (value !== undefined)
      throw new UsageError(`${name} is for a whole rebuild, and goes without --stream and --key`);
  }
  return stream ?? key ?? null;
}

async function rebuildOne(context: CommandContext, options: RebuildArguments, key: string): Promise<void> {
  const { name, schema, onError } = options;
  const projection = await loadProjection(pathToFileURL(resolve(options.module)), name === undefined ? {} : { name });
  const interruption = new Interruption();
  try {
    const { lsn, durationMs } = await rebuildDocument(options.store, projection, key, {
      encryption: encryptionOf(options),
      schemas: schema ?? [],
      signal: interruption.signal,
      ...(onError !== undefined && { onError }),
      onReport: (report) => tellReport(context, report),
    }).catch((error: unknown) => {
      if (error instanceof TypeError) throw new UsageError(error.message, { cause: error });
      throw error;
    });
    const { version } = projection;
    await context.output.print(
      { projection: projection.name, version, document: key, lsn, durationMs },
      () =>
        `"${key}" of ${projection.name} v${version} is rebuilt as of LSN ${formatCount(lsn)}, in ${formatCount(durationMs)} ms`,
    );
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    context.exitCode = interruption.exitCode;
    context.stderr.write("varve: interrupted; nothing was changed\n");
  } finally {
    interruption.dispose();
  }
}

function tellReport({ stderr }: CommandContext, report: ProjectionReport): void {
  if (report.kind === "checkpoint-refused") stderr.write(`varve: ${report.file} is not used: ${report.message}\n`);
  if (report.kind === "checkpoint-failed") stderr.write(`varve: ${report.error.message}\n`);
}

async function rebuild(context: CommandContext, options: RebuildArguments): Promise<void> {
  const { output, stderr } = context;
  const { store, name, schema, maxEventsPerSecond, checkpointEvery, onError, fresh } = options;
  const projection = await loadProjection(pathToFileURL(resolve(options.module)), name === undefined ? {} : { name });
  const interruption = new Interruption();
  const progress = startProgress(stderr, `rebuilding ${projection.name}`);
  try {
    const { fromLsn, lsn, durationMs } = await rebuildProjection(store, projection, {
      encryption: encryptionOf(options),
      schemas: schema ?? [],
      keepOnAbort: true,
      signal: interruption.signal,
      fresh: fresh === true,
      ...(onError !== undefined && { onError }),
      ...(maxEventsPerSecond !== undefined && { maxEventsPerSecond }),
      ...(checkpointEvery !== undefined && { checkpointEveryEvents: checkpointEvery }),
      onProgress: (at) =>
        progress.update(
          () =>
            `rebuilding ${projection.name}: LSN ${formatCount(at.lsn)} of ${formatCount(at.watermark)}, ${formatCount(at.eventsPerSecond)} per second`,
        ),
      onReport: (report) => tellReport(context, report),
    });
    progress.stop();
    const { version } = projection;
    await output.print(
      { projection: projection.name, version, fromLsn, lsn, durationMs },
      () =>
        `${projection.name} v${version} is rebuilt as of LSN ${formatCount(lsn)}, from LSN ${formatCount(fromLsn)}, in ${formatCount(durationMs)} ms`,
    );
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    context.exitCode = interruption.exitCode;
    stderr.write("varve: interrupted; the same command goes on from here\n");
  } finally {
    progress.stop();
    interruption.dispose();
  }
}

export function projectionPauseCommand(context: CommandContext): Command {
  return switchCommand(
    context,
    "pause",
    "have every process that runs the projection stand still, also after a restart",
    true,
  );
}

export function projectionResumeCommand(context: CommandContext): Command {
  return switchCommand(context, "resume", "have them go on", false);
}

function switchCommand({ output }: CommandContext, verb: string, summary: string, isPaused: boolean): Command {
  return keylessCommand(verb, summary)
    .argument("<name>", "the projection")
    .addHelpText("after", "\nThey heed it within half a second; this does not wait for them.")
    .action(async (name: string, options: CommonOptions) => {
      await setProjectionPaused(options.store, name, isPaused).catch((error: unknown) => {
        if (error instanceof TypeError) throw new UsageError(error.message, { cause: error });
        throw error;
      });
      await output.print({ projection: name, isPaused }, () => `${name} ${isPaused ? "is to stand still" : "goes on"}`);
    });
}

/** The state that the next start begins at, of the newest version that has one. */
function checkpointOf({ states }: ProjectionFiles): SavedState | null {
  return states.find((state) => state.kind === "checkpoint" && state.refused === null) ?? null;
}

function summaryOf(files: ProjectionFiles): object {
  const checkpoint = checkpointOf(files);
  const rebuild = files.states.find((state) => state.kind !== "checkpoint") ?? null;
  return {
    name: files.name,
    version: checkpoint?.version ?? null,
    lsn: checkpoint?.lsn ?? null,
    lag: checkpoint?.lag ?? null,
    parkedEvents: checkpoint?.parked.length ?? 0,
    skippedEvents: checkpoint?.skippedEvents ?? 0,
    isPaused: files.isPaused,
    isBeingRebuilt: files.isBeingRebuilt,
    rebuild: rebuild === null ? null : { kind: rebuild.kind, version: rebuild.version, lsn: rebuild.lsn },
  };
}

function summaryLine(files: ProjectionFiles): string {
  const checkpoint = checkpointOf(files);
  const parts = [files.name];
  if (checkpoint === null) parts.push("no usable checkpoint");
  else
    parts.push(
      `v${checkpoint.version}`,
      `LSN ${formatCount(checkpoint.lsn ?? 0)}`,
      `lag ${formatCount(checkpoint.lag ?? 0)}`,
    );
  if (checkpoint !== null && checkpoint.parked.length > 0)
    parts.push(`${formatCount(checkpoint.parked.length)} parked`);
  if (files.isPaused) parts.push("paused");
  if (files.isBeingRebuilt) parts.push("being rebuilt");
  return parts.join("  ");
}

function describe(files: ProjectionFiles, watermark: number): string {
  const lines = [summaryLine(files), `  the store is at LSN ${formatCount(watermark)}`];
  for (const state of files.states) {
    const what = `  ${state.kind} v${state.version}, ${formatCount(state.bytes)} bytes`;
    if (state.refused !== null) lines.push(`${what}: not believed: ${state.refused.message}`);
    else
      lines.push(
        `${what}: LSN ${formatCount(state.lsn ?? 0)}, lag ${formatCount(state.lag ?? 0)}, skipped ${formatCount(state.skippedEvents ?? 0)}`,
      );
    for (const { lsn, type, message } of state.parked)
      lines.push(`    parked: LSN ${formatCount(lsn)}, ${type}: ${message}`);
  }
  return lines.join("\n");
}
