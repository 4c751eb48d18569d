/** Arguments that several commands take, and how their text is read. A wrong one ends with a usage error that names it. */

import { Command, InvalidArgumentError, Option } from "commander";
import {
  COMPRESSIONS,
  type Compression,
  type Durability,
  type EncryptionOptions,
  type ExpectedVersion,
} from "../events/index.js";
import { UsageError } from "./failure.js";
import { parseInstant } from "./instant.js";

export const DEFAULT_STORE = "./varve-data";

/** What every command's options hold. */
export interface CommonOptions {
  readonly store: string;
  readonly json?: true;
  readonly keyFile?: readonly string[];
  readonly keyEnv?: readonly string[];
  readonly subjectKeys?: string;
}

/** A command with the options that all of them have which open a store. */
export function storeCommand(name: string, summary: string): Command {
  return keylessCommand(name, summary)
    .addOption(keyFileOption())
    .addOption(keyEnvOption())
    .addOption(new Option("--subject-keys <file>", "the file with the keys of subjects"));
}

/** One that needs no key, whatever store it looks at. */
export function keylessCommand(name: string, summary: string): Command {
  return new Command(name)
    .summary(summary)
    .description(summary)
    .addOption(new Option("--store <dir>", "the store's directory").env("VARVE_STORE").default(DEFAULT_STORE))
    .addOption(jsonOption());
}

function keyFileOption(): Option {
  const summary =
    "a file with the store's key, 32 bytes or 64 hexadecimal digits (may be repeated: the first is current)";
  return new Option("--key-file <file>", summary).argParser(gathered);
}

function keyEnvOption(): Option {
  const summary = "an environment variable with the store's key, 64 hexadecimal digits (may be repeated)";
  return new Option("--key-env <name>", summary).argParser(gathered);
}

export function gathered(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/** The keys that the command line names: files first; null for none. */
export function encryptionOf({ keyFile = [], keyEnv = [], subjectKeys }: KeyArguments): EncryptionOptions | null {
  const [key, ...otherKeys] = [...keyFile.map((file) => ({ file })), ...keyEnv.map((env) => ({ env }))];
  if (key === undefined && subjectKeys !== undefined) {
    throw new UsageError("--subject-keys goes with --key-file or --key-env");
  }
  return key === undefined ? null : { key, otherKeys, ...(subjectKeys !== undefined && { subjectKeys }) };
}

export type KeyArguments = Pick<CommonOptions, "keyFile" | "keyEnv" | "subjectKeys">;

export function jsonOption(): Option {
  return new Option("--json", "print JSON: one object for a result, one object per line for a list");
}

/** Of the sealed segments that a command makes. */
export interface CompressionArguments {
  readonly compression: Compression;
}

export function compressionOption(): Option {
  return new Option("--compression <how>", "how blocks of the segments are packed that it makes")
    .choices(COMPRESSIONS)
    .default("none");
}

export function durabilityOption(): Option {
  const modes: readonly Durability[] = ["sync", "group", "async", "asyncBatched"];
  return new Option("--durability <mode>", "when an append counts as done").choices(modes).default("group");
}

export function schemaOption(): Option {
  const summary = "a .proto file with types of events (may be repeated)";
  return new Option("--schema <file>", summary).argParser(gathered);
}

/** For work whose appends must be durable when they are answered. */
export function durableOption(): Option {
  const modes: readonly Durability[] = ["sync", "group"];
  return new Option("--durability <mode>", "when an append counts as done").choices(modes).default("group");
}

export function expectedVersion(text: string): ExpectedVersion {
  if (text === "any" || text === "exists" || text === "absent") return text;
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  throw new InvalidArgumentError("It must be a version, any, exists or absent.");
}

/** A parser of whole numbers of at least `min`. */
export function wholeNumber(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < min)
      throw new InvalidArgumentError(`It must be a whole number of at least ${min}.`);
    return value;
  };
}

/** A name that says something: of a label, of a property. */
export function nonEmpty(text: string): string {
  if (text === "") throw new InvalidArgumentError("It must not be empty.");
  return text;
}

export function instant(text: string): number {
  const us = parseInstant(text);
  if (us === null)
    throw new InvalidArgumentError("It must be an ISO 8601 time (UTC unless it says otherwise) or µs since 1970.");
  return us;
}

/** A parser of JSON objects. */
export function jsonObject(text: string): Record<string, unknown> {
  const value = jsonValue(text);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new InvalidArgumentError("It must be a JSON object.");
  return value as Record<string, unknown>;
}

export function jsonValue(text: string): unknown {
  let problem: string;
  try {
    return JSON.parse(text);
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
  }
  throw new InvalidArgumentError(`It must be JSON: ${problem}.`);
}
