/** No pair of key and nonce is used twice: not after kills, takeovers, recoveries that write frames again, in copies, nor in restored backups. */

import { type ChildProcess, spawn } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { appendFileSync, cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openStore, rekeyStore, restoreStore } from "../../src/index.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { eventsOf, keyOf } from "./support.js";

const test = suite("encryption/nonces");
const WRITER = fileURLToPath(new URL("./children/encrypting-writer.js", import.meta.url));
const RECORDER = new URL("./children/record-nonces.js", import.meta.url).href;
const ROUNDS = 5;
const encryption = { key: keyOf(1), otherKeys: [keyOf(2)] };

async function start(directory: string, log: string, ...rest: string[]): Promise<ChildProcess> {
  const env = { ...process.env, VARVE_NONCE_FILE: log };
  const child = spawn(process.execPath, [`--import=${RECORDER}`, WRITER, directory, ...rest], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout as NonNullable<typeof child.stdout>, "data");
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

interface Recorded {
  readonly count: number;
  readonly keys: number;
  readonly workers: number;
  readonly twice: readonly string[];
}

function judge(lines: readonly string[]): Recorded {
  const seen = new Set<string>();
  const twice: string[] = [];
  const keys = new Set<string>();
  let workers = 0;
  for (const line of lines) {
    const [key = "", nonce = "", thread] = line.split(" ");
    const pair = `${key} ${nonce}`;
    if (seen.has(pair)) twice.push(pair);
    seen.add(pair);
    keys.add(key);
    if (thread === "worker") workers++;
  }
  return { count: lines.length, keys: keys.size, workers, twice };
}

test("what is looked for would be found", () => {
  assert.equal(judge(["a 1 main", "a 2 main", "b 1 main"]).twice, []);
  assert.equal(judge(["a 1 main", "b 1 main", "a 1 worker"]).twice, ["a 1"]);
});

test(
  "over kills at any moment, two writers, copies that go on apart, a change of keys, restored backups and a rekeying",
  async () => {
    const base = temporaryDirectory();
    const directory = join(base, "store");
    const log = join(base, "nonces");
    for (let round = 0; round < ROUNDS; round++) {
      const first = await start(directory, log);
      const second = await start(directory, log, ...(round === 2 ? ["rotates"] : []));
      await delay(150 + 90 * round);
      await kill(first);
      await delay(120);
      if (round === ROUNDS - 1) {
        // As a power cut would leave it, and as somebody may copy it. Stopped, because files of a store that
        // goes on can go away under the copying hand.
        second.kill("SIGSTOP");
        for (const name of ["copy-a", "copy-b"]) cpSync(directory, join(base, name), { recursive: true });
      }
      await kill(second);
    }
    const here: string[] = [];
    const listener = (message: unknown): void => {
      const { keyFingerprint, nonce } = message as { keyFingerprint: string; nonce: string };
      appendFileSync(log, `${keyFingerprint} ${nonce} main\n`);
      here.push(nonce);
    };
    subscribe("varve:nonce", listener);
    const copies = await Promise.all(["copy-a", "copy-b"].map((name) => start(join(base, name), log)));
    await delay(300);
    for (const child of copies) await kill(child);
    const store = await openStore(directory, { encryption });
    const events = await eventsOf(store);
    await store.backup(join(base, "backup"));
    await store.close();
    for (const name of ["restored-a", "restored-b"]) {
      await restoreStore(join(base, "backup"), join(base, name), { encryption, toLsn: events >> 1 });
      const restored = await openStore(join(base, name), { encryption });
      for (let index = 0; index < 10; index++) await restored.append("s", { type: "Hush", data: { index } });
      await restored.close();
    }
    await rekeyStore(directory, { encryption: { key: keyOf(3), otherKeys: [keyOf(1), keyOf(2)] } });
    unsubscribe("varve:nonce", listener);

    const recorded = judge(readFileSync(log, "latin1").trimEnd().split("\n"));
    assert.equal(recorded.twice, []);
    assert.ok(
      recorded.count > 300 && recorded.keys > 30 && recorded.workers > 10 && here.length > 20,
      JSON.stringify(recorded),
    );
    console.log(
      `${recorded.count} pairs of ${recorded.keys} keys, ${recorded.workers} of them in threads that seal; none twice`,
    );
    assert.ok(events > 100);
  },
  { timeoutMs: 120_000 },
);
