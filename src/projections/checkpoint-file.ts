/** Writing a checkpoint so that a crash leaves the old one or the new one, and reading one without believing it. */

import { type FileHandle, open, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { StateCiphers } from "../events/index.js";
import type { CheckpointFacts } from "./checkpoint-format.js";
import { ChunkReader } from "./chunk-reader.js";
import { ChunkWriter } from "./chunk-writer.js";
import { putFile, syncDirectory } from "./temporary-file.js";

/** Why a checkpoint is not used. */
export type RefusalReason =
  | "damaged"
  | "newer-format"
  | "key-missing"
  | "tampered"
  | "unreadable"
  | "other-projection"
  | "other-version"
  | "other-store"
  | "other-history"
  | "above-watermark"
  | "forgotten"
  /** Of a snapshot: the stream has lost events, or shows some again, since. */
  | "other-events"
  | "not-decodable";

export interface Refusal {
  readonly reason: RefusalReason;
  readonly message: string;
}

export type CheckpointReading<State> =
  | { readonly kind: "absent" }
  | { readonly kind: "usable"; readonly facts: CheckpointFacts; readonly state: State }
  | ({ readonly kind: "refused" } & Refusal);

/** Replaces the checkpoint in `file`, durably and all or nothing. Resolves with the file's size in bytes. */
export function writeCheckpoint(
  file: string,
  facts: CheckpointFacts,
  chunks: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ciphers: StateCiphers | null = null,
): Promise<number> {
  return putFile(file, async (handle) => {
    const writer = new ChunkWriter(handle, ciphers?.create() ?? null);
    await writer.writeFacts(facts);
    for await (const chunk of chunks instanceof Uint8Array ? [chunks] : chunks) await writer.writeState(chunk);
    return writer.end();
  });
}

/**
 * Reads a checkpoint. `judge` sees the facts first and may refuse them; only then is the state decoded. Never throws for
 * what is in the file, nor for what `decode` throws: a checkpoint can be done without.
 */
export async function readCheckpoint<State>(
  file: string,
  judge: (facts: CheckpointFacts) => Promise<Refusal | null>,
  decode: (chunks: AsyncIterable<Uint8Array>) => State | Promise<State>,
  ciphers: StateCiphers | null = null,
): Promise<CheckpointReading<State>> {
  const handle = await openIfPresent(file);
  if (!("fd" in handle)) return handle;
  const reader = new ChunkReader(handle, ciphers);
  try {
    const facts = await orRefusal(reader, () => reader.readFacts());
    if ("refusal" in facts) return facts.refusal;
    const refusal = await judge(facts.value);
    if (refusal !== null) return { kind: "refused", ...refusal };
    const state = await orRefusal(reader, async () => {
      const decoded = await decode(reader.stateChunks());
      if (!reader.ended) throw new Error("decode did not read all pieces");
      return decoded;
    });
    return "refusal" in state ? state.refusal : { kind: "usable", facts: facts.value, state: state.value };
  } finally {
    await handle.close();
  }
}

/**
 * Writes a checkpoint once more, encrypted by the store's current key; whether it was encrypted before, and by which key, does not matter. One
 * that cannot be read is removed. False: it was.
 */
export async function reencryptCheckpoint(file: string, ciphers: StateCiphers): Promise<boolean> {
  const handle = await open(file, "r");
  const reader = new ChunkReader(handle, ciphers, true);
  try {
    await writeCheckpoint(file, await reader.readFacts(), reader.stateChunks(), ciphers);
    return true;
  } catch (error) {
    if (reader.fault === null) throw error;
    await rm(file, { force: true });
    await syncDirectory(dirname(file));
    return false;
  } finally {
    await handle.close();
  }
}

export type Refused = { readonly kind: "refused" } & Refusal;

/** Opens a file, or says that there is none, or why it cannot be read. */
export async function openIfPresent(file: string): Promise<FileHandle | Refused | { readonly kind: "absent" }> {
  try {
    return await open(file, "r");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return { kind: "absent" };
    return { kind: "refused", reason: "unreadable", message: messageOf(error) };
  }
}

/** What a reader reads, or why it is not believed. Never throws. */
export async function orRefusal<Value>(
  reader: ChunkReader,
  read: () => Promise<Value>,
): Promise<{ readonly value: Value } | { readonly refusal: Refused }> {
  try {
    return { value: await read() };
  } catch (error) {
    // The reader's own finding comes first: decode may have thrown something else because of it.
    const { fault } = reader;
    if (fault !== null) return { refusal: { kind: "refused", reason: fault.kind, message: fault.message } };
    const reason = reader.failed ? "unreadable" : "not-decodable";
    return { refusal: { kind: "refused", reason, message: messageOf(error) } };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
