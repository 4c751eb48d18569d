import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { verifyEvents } from "../../events/index.js";
import {
  type Anchor,
  isStoreError,
  type RecordedEvent,
  StoreError,
  type VerifiedAnchor,
  type VerifySealedOptions,
} from "../../index.js";
import { isEncrypted, verifyWithoutKeys } from "../../wal/index.js";
import { type CommonOptions, encryptionOf, schemaOption, storeCommand } from "../arguments.js";
import { isDecodable } from "../event-line.js";
import { describeFailure, EXIT_LEFT, EXIT_OPERATIONAL, formatFailure, UsageError } from "../failure.js";
import { formatInstant } from "../instant.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withReader } from "../stores.js";

interface VerifyOptions extends CommonOptions {
  readonly schema?: readonly string[];
  readonly anchor?: string;
  readonly publicKey?: string;
}

const HELP = `
Without the key of a store that is encrypted it checks what can be checked then: checksums, LSNs, and that nothing is missing;
the answer says what it could not check. An anchor needs the key.
With --anchor it ends with exit code 0 when the store has that history, 1 when the store is damaged or cannot be read, ${EXIT_LEFT} when it
is another store, rolled back or forked, or the anchor is not signed by the key, ${EXIT_OPERATIONAL} when the two could not be compared.`;

const UNCHECKED = ["authentication tags", "events", "versions of streams", "hash chain of records", "index of streams"];

/** What an anchor was kept for. */
const CONTRADICTIONS = [
  "ERR_ANCHOR_FOREIGN",
  "ERR_ANCHOR_ROLLED_BACK",
  "ERR_ANCHOR_FORKED",
  "ERR_ANCHOR_SIGNATURE",
] as const;
const INCOMPARABLE = ["ERR_ANCHOR_INVALID", "ERR_LOG_TRUNCATED"] as const;

/** Null: it has nothing to do with the anchor. */
function anchorExitCode(error: unknown): number | null {
  if (CONTRADICTIONS.some((code) => isStoreError(error, code))) return EXIT_LEFT;
  return INCOMPARABLE.some((code) => isStoreError(error, code)) ? EXIT_OPERATIONAL : null;
}

/** What the command line says of an anchor; the store checks what the file holds. */
function anchorOptions({ anchor: path, publicKey: keyPath }: VerifyOptions): VerifySealedOptions {
  if (path === undefined) {
    if (keyPath !== undefined) throw new UsageError("--public-key goes with --anchor");
    return {};
  }
  const anchor = parseJson(readFileSync(path, "utf8"), path) as Anchor;
  return keyPath === undefined ? { anchor } : { anchor, publicKey: readFileSync(keyPath, "utf8") };
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new StoreError("ERR_ANCHOR_INVALID", `${path} is no anchor: it is no JSON`, { path }, { cause: error });
  }
}

export function verifyCommand(context: CommandContext): Command {
  return storeCommand("verify", "read a whole store and check that nothing in it is damaged or missing")
    .addOption(schemaOption())
    .option("--anchor <file>", "check that it has the history which 'varve anchor' printed into this file")
    .option("--public-key <file>", "the Ed25519 public key (PEM) that the anchor must be signed by")
    .addHelpText("after", HELP)
    .action(async (options: VerifyOptions) => {
      try {
        await verify(context, options);
      } catch (error) {
        if (error instanceof TypeError && options.publicKey !== undefined)
          throw new UsageError(`--public-key: ${error.message}`, { cause: error });
        const exitCode = options.anchor === undefined ? null : anchorExitCode(error);
        if (exitCode === null) throw error;
        context.stderr.write(`${formatFailure(describeFailure(error), context.output.json)}\n`);
        context.exitCode = exitCode;
      }
    });
}

async function verify(context: CommandContext, options: VerifyOptions): Promise<void> {
  const { store, anchor } = options;
  const held = anchorOptions(options);
  if (anchor === undefined && encryptionOf(options) === null && (await isEncrypted(store)))
    return verifyWithoutKey(context, store);
  return verifyStore(context, options, held);
}

async function verifyWithoutKey({ output, stderr }: CommandContext, store: string): Promise<void> {
  const progress = startProgress(stderr, "reading the log");
  try {
    const found = await verifyWithoutKeys(store);
    progress.stop();
    const { lastLsn, keyIds } = found;
    await output.print({ ok: true, isKeyless: true, ...found, unchecked: UNCHECKED }, () =>
      [
        `everything up to LSN ${formatCount(lastLsn)} is there and holds its checksums`,
        `not checked, for want of the key (${keyIds.join(", ")}): ${UNCHECKED.join(", ")}`,
      ].join("\n"),
    );
  } finally {
    progress.stop();
  }
}

async function verifyStore(
  { output, stderr }: CommandContext,
  options: VerifyOptions,
  held: VerifySealedOptions,
): Promise<void> {
  const progress = startProgress(stderr, "reading the log");
  try {
    await withReader(options, options.schema ?? [], async (reader) => {
      const undecoded = new Set<string>();
      const onEvent = (event: RecordedEvent): void => {
        if (!isDecodable(event)) undecoded.add(event.type);
        progress.update(() => `${formatCount(event.lsn)} of ${formatCount(reader.watermark)} events`);
      };
      const verified = await verifyEvents(reader, onEvent, held);
      progress.stop();
      const undecodedTypes = [...undecoded];
      const { recovery, ...counts } = verified;
      const { sealed, events, streams, forgottenEvents, unopenedEvents } = verified;
      await output.print({ ...counts, undecodedTypes, recovery }, () => {
        const removed = sealed.removedLsns === 0 ? "" : `, ${formatCount(sealed.removedLsns)} were removed`;
        const lines = [
          `${formatCount(events)} events in ${formatCount(streams)} streams: all there, nothing damaged${removed}`,
        ];
        if (sealed.anchor !== null) lines.push(describeAnchor(sealed.anchor));
        if (forgottenEvents > 0) lines.push(`${formatCount(forgottenEvents)} are of forgotten subjects`);
        if (unopenedEvents > 0)
          lines.push(`not looked into, for want of their --subject-keys: ${formatCount(unopenedEvents)} events`);
        if (undecoded.size > 0) lines.push(`not decoded, for want of their --schema: ${undecodedTypes.join(", ")}`);
        return lines.join("\n");
      });
    });
  } finally {
    progress.stop();
  }
}

function describeAnchor({ lsn, at, signedBy, isTrusted }: VerifiedAnchor): string {
  const signed =
    signedBy === null ? "not signed" : isTrusted ? "signed by that key" : `said to be signed by ${signedBy}`;
  return `it has the history of the anchor of ${formatInstant(at)}, up to LSN ${formatCount(lsn)} (${signed})`;
}
