/** After a store was closed, or could not be opened, nothing in the memory of its process is its key, nor a key that was derived of it. */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, openSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openStore } from "../../src/index.js";
import { segmentKey } from "../../src/wal/crypt/frame-cipher.js";
import { deriveKey } from "../../src/wal/crypt/hkdf.js";
import { StoreKeys } from "../../src/wal/crypt/store-keys.js";
import { decodePreamble, PREAMBLE_BYTES } from "../../src/wal/format.js";
import { readManifest } from "../../src/wal/manifest.js";
import {
  decodeSubjectBlock,
  SUBJECT_PAIR_BYTES,
  type SubjectBlock,
  subjectCopyOffset,
} from "../../src/wal/subjects/subject-block.js";
import { SUBJECT_RECORD_BYTES } from "../../src/wal/subjects/subject-format.js";
import { SubjectSecrets } from "../../src/wal/subjects/subject-secrets.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { keyOf } from "./support.js";

const test = suite("encryption/key-memory");
const HOLDER = fileURLToPath(new URL("./children/key-holder.js", import.meta.url));
const CHUNK_BYTES = 4 * 1024 * 1024;

/** How often each of these stands in the memory of a process that sleeps. */
function countInMemory(pid: number, needles: readonly Buffer[]): number[] {
  const counts = needles.map(() => 0);
  const longest = Math.max(...needles.map(({ length }) => length));
  const fd = openSync(`/proc/${pid}/mem`, "r");
  const chunk = Buffer.alloc(CHUNK_BYTES);
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, "latin1").split("\n")) {
      const [, from, to, flags, name = ""] = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$/.exec(line) ?? [];
      if (from === undefined || to === undefined || !flags?.startsWith("r") || name.startsWith("[v")) continue;
      const [start, end] = [BigInt(`0x${from}`), BigInt(`0x${to}`)];
      for (let at = start; at < end; at += BigInt(CHUNK_BYTES - longest)) {
        const wanted = Number(end - at < BigInt(CHUNK_BYTES) ? end - at : BigInt(CHUNK_BYTES));
        let read = 0;
        try {
          read = readSync(fd, chunk, 0, wanted, at as unknown as number);
        } catch {
          break; // a device's, or gone
        }
        const bytes = chunk.subarray(0, read);
        for (const [index, needle] of needles.entries()) {
          for (let found = bytes.indexOf(needle); found >= 0; found = bytes.indexOf(needle, found + 1)) {
            // What begins in the overlap is counted with the next piece.
            const isNext = found > CHUNK_BYTES - longest && at + BigInt(CHUNK_BYTES) < end;
            if (!isNext) counts[index] = (counts[index] as number) + 1;
          }
        }
      }
    }
  } finally {
    closeSync(fd);
  }
  return counts;
}

async function said(child: ChildProcessWithoutNullStreams, word: string): Promise<void> {
  for (let text = ""; !text.includes(word); ) {
    const [more] = (await once(child.stdout, "data")) as [Buffer];
    text += more.toString();
  }
}

async function withHolder(
  parts: readonly string[],
  work: (pid: number, tell: (answer: string) => Promise<void>) => Promise<void>,
): Promise<void> {
  const child = spawn(process.execPath, [HOLDER, ...parts], { stdio: ["pipe", "pipe", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  const ended = once(child, "exit").then(() => {
    throw new Error(`the child ended: ${stderr}`);
  });
  ended.catch(() => {});
  try {
    await Promise.race([said(child, "open"), ended]);
    await work(child.pid as number, async (answer) => {
      child.stdin.write("on\n");
      await Promise.race([said(child, answer), ended]);
    });
  } finally {
    child.kill("SIGKILL");
  }
}

/** The key of the first segment, as the store derives it. */
function derivedKey(directory: string, key: Buffer): Buffer {
  const segment = readFileSync(join(directory, "wal", "core-000", "0000000001.wal"));
  const decoded = decodePreamble(segment.subarray(0, PREAMBLE_BYTES));
  if (decoded.kind !== "preamble") throw new Error(`the preamble is ${decoded.kind}`);
  const { info, salt } = segmentKey(decoded.preamble, 1, decoded.preamble.salt);
  const derived = Buffer.alloc(32);
  deriveKey(derived, key, salt, info);
  return derived;
}

for (const kind of ["file", "file of digits", "callback"] as const) {
  test(
    `a key from a ${kind} is in one place while the store is open, and nowhere when it is closed`,
    async () => {
      const base = temporaryDirectory();
      const [directory, path] = [join(base, "store"), join(base, "key")];
      const key = randomBytes(32);
      const digits = Buffer.from(key.toString("hex"));
      writeFileSync(path, kind === "file of digits" ? digits : key);
      await withHolder([directory, kind === "callback" ? "callback" : "file", path], async (pid, tell) => {
        const needles = [key, key.subarray(0, 16), key.subarray(16), digits, derivedKey(directory, key)];
        const open = countInMemory(pid, needles);
        assert.is(open[0], 1, `while it is open: ${open}`);
        assert.is(open[4], 1, `while it is open: ${open}`);
        assert.is(open[3], 0, `while it is open: ${open}`);
        await tell("closed");
        assert.equal(countInMemory(pid, needles), [0, 0, 0, 0, 0]);
      });
    },
    { timeoutMs: 60_000 },
  );
}

/** The keys of subjects in their file, in the order of their records, then those that are derived of the file's secret, and that. */
async function subjectSecretsIn(directory: string, path: string, keyPath: string): Promise<Buffer[]> {
  const found = await readManifest(directory);
  if (found.kind !== "manifest" || found.manifest.encryption === undefined) throw new Error("no manifest");
  const storeId = Buffer.from(found.manifest.storeId, "hex");
  const masters = await StoreKeys.load({ key: { file: keyPath } });
  masters.adopt(storeId, found.manifest.encryption);
  const file = readFileSync(path);
  const wrapped = file.subarray(32, 112);
  const secrets = new SubjectSecrets(storeId);
  assert.ok(secrets.take(masters, wrapped));
  const keys: Buffer[] = [];
  const pairAt = subjectCopyOffset(0, 0);
  const block = decodeSubjectBlock(0, file.subarray(pairAt, pairAt + SUBJECT_PAIR_BYTES));
  assert.ok(block !== null);
  for (let at = 0; at < 2 * SUBJECT_RECORD_BYTES; at += SUBJECT_RECORD_BYTES) {
    const key = secrets.unsealed(String(at), (block as SubjectBlock).records.subarray(at, at + SUBJECT_RECORD_BYTES));
    assert.ok(key !== null);
    keys.push(Buffer.from(key as Buffer));
  }
  const secret = Buffer.alloc(32);
  assert.ok(masters.unwrapSecret(wrapped, storeId, Buffer.from("varve subject keys 1"), secret));
  for (const info of ["varve subject tags 1", "varve subject records 1"]) {
    const derived = Buffer.alloc(32);
    deriveKey(derived, secret, storeId, Buffer.from(info));
    keys.push(derived);
  }
  secrets.close();
  masters.close();
  return [...keys, secret];
}

test(
  "keys of subjects are in one place while the store is open, a forgotten one nowhere, and none when it is closed",
  async () => {
    const base = temporaryDirectory();
    const [directory, path, subjects] = [join(base, "store"), join(base, "key"), join(base, "subjects")];
    writeFileSync(path, randomBytes(32));
    await withHolder([directory, "file", path, subjects], async (pid, tell) => {
      const needles = await subjectSecretsIn(directory, subjects, path);
      assert.is(needles.length, 5);
      assert.equal(countInMemory(pid, needles), [1, 1, 1, 1, 0]);
      await tell("forgotten");
      assert.equal(countInMemory(pid, needles), [0, 1, 1, 1, 0]);
      await tell("closed");
      assert.equal(countInMemory(pid, needles), [0, 0, 0, 0, 0]);
    });
  },
  { timeoutMs: 60_000 },
);

test(
  "a key that is wrong is nowhere when opening has failed",
  async () => {
    const base = temporaryDirectory();
    const [directory, path] = [join(base, "store"), join(base, "key")];
    const store = await openStore(directory, { encryption: { key: keyOf(1) } });
    await store.close();
    const key = randomBytes(32);
    writeFileSync(path, key);
    await withHolder([directory, "wrong", path], async (pid) => {
      assert.equal(countInMemory(pid, [key, key.subarray(0, 16), key.subarray(16)]), [0, 0, 0]);
    });
  },
  { timeoutMs: 60_000 },
);
