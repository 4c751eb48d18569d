/** Subjects over several processes: one key for each, and a forgetting that all of them keep to. */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openStore, type Store } from "../../src/index.js";
import { keyOf } from "../encryption/support.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("privacy/many-writers");
const WRITER = fileURLToPath(new URL("./children/subject-writer.js", import.meta.url));

interface Writer {
  readonly child: ChildProcessWithoutNullStreams;
  readonly said: string[];
  tell(line: string): void;
  readonly ended: Promise<unknown>;
}

async function writer(directory: string, subjectKeys: string, stream: string): Promise<Writer> {
  const child = spawn(process.execPath, [WRITER, directory, subjectKeys, stream], { stdio: "pipe" });
  let text = "";
  const said: string[] = [];
  child.stderr.on("data", (bytes: Buffer) => said.push(`stderr: ${bytes}`));
  child.stdout.on("data", (bytes: Buffer) => {
    text += bytes;
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    said.push(...lines);
  });
  const ended = once(child, "exit");
  while (!said.includes("open")) {
    if (child.exitCode !== null) throw new Error(said.join("\n"));
    await delay(5);
  }
  return { child, said, ended, tell: (line) => child.stdin.write(`${line}\n`) };
}

interface Seen {
  readonly lsn: number;
  readonly subject: string | null;
  readonly keyId: string;
}

async function eventsIn(store: Store): Promise<Map<number, Seen>> {
  const seen = new Map<number, Seen>();
  for await (const event of store.readAll()) {
    const { subjectKeyId: keyId } = event;
    if (keyId === null) continue;
    const subject = event.forgotten ? null : (event.data as { subject: string }).subject;
    seen.set(event.lsn, { lsn: event.lsn, subject, keyId });
  }
  return seen;
}

test(
  "processes that need a key for the same new subjects at once share one for each",
  async () => {
    const base = temporaryDirectory();
    const [directory, subjectKeys] = [join(base, "store"), join(base, "subjects")];
    const encryption = { key: keyOf(1), subjectKeys };
    const writers = await Promise.all(["a", "b", "c"].map((stream) => writer(directory, subjectKeys, stream)));
    try {
      for (const each of writers) each.tell("begin");
      // However slow the machine is: until each has had its turns beside the others.
      while (!writers.every(({ said }) => said.length > 30)) await delay(50);
      for (const each of writers) each.tell("stop");
      await Promise.all(writers.map(({ ended }) => ended));
      const store = await openStore(directory, { encryption });
      const keys = new Map<string, Set<string>>();
      for (const { subject, keyId } of (await eventsIn(store)).values()) {
        keys.set(subject ?? "", (keys.get(subject ?? "") ?? new Set()).add(keyId));
      }
      await store.close();
      assert.is(keys.size, 20);
      for (const [subject, ids] of keys) assert.is(ids.size, 1, subject);
    } finally {
      for (const { child } of writers) child.kill("SIGKILL");
    }
  },
  { timeoutMs: 60_000 },
);

test(
  "who forgets while others append: what was acknowledged before is gone, what is begun afterwards stays",
  async () => {
    const base = temporaryDirectory();
    const [directory, subjectKeys] = [join(base, "store"), join(base, "subjects")];
    const store = await openStore(directory, { encryption: { key: keyOf(1), subjectKeys } });
    const writers = await Promise.all(["a", "b"].map((stream) => writer(directory, subjectKeys, stream)));
    try {
      for (const each of writers) each.tell("begin");
      await delay(500);
      const acknowledged = new Set<number>();
      const note = (): void => {
        for (const { said } of writers)
          for (const line of said) {
            const [subject, lsn] = line.split(" ");
            if (subject === "s-7") acknowledged.add(Number(lsn));
          }
      };
      let forgotten: readonly string[] = [];
      for (let round = 0; round < 5; round++) {
        note();
        const before = new Set(acknowledged);
        forgotten = (await store.forget("s-7")).keyIds;
        const seen = await eventsIn(store);
        for (const lsn of before) assert.is(seen.get(lsn)?.subject, null, `round ${round}`);
        await delay(100);
      }
      // Everything that is begun when this line has come comes behind the last forgetting.
      for (const each of writers) each.tell("now");
      const isLater = (line: string): boolean => {
        const [subject, , lines] = line.split(" ");
        return subject === "s-7" && Number(lines) >= 2;
      };
      while (!writers.every(({ said }) => said.filter(isLater).length > 2)) await delay(50);
      for (const each of writers) each.tell("stop");
      await Promise.all(writers.map(({ ended }) => ended));
      const seen = await eventsIn(store);
      for (const { said } of writers) {
        for (const line of said) {
          const [subject, lsn, lines] = line.split(" ");
          if (subject === "open" || subject === undefined) continue;
          const event = seen.get(Number(lsn));
          assert.ok(event !== undefined, line);
          if (subject !== "s-7") assert.is(event?.subject, subject);
          else if (Number(lines) >= 2) {
            assert.is(event?.subject, "s-7", `${line} was begun afterwards`);
          } else assert.is(event?.subject === null, forgotten.includes(event?.keyId ?? ""));
        }
      }
      await store.close();
    } finally {
      for (const { child } of writers) child.kill("SIGKILL");
    }
  },
  { timeoutMs: 60_000 },
);
