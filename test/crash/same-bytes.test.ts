import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { openReader, openStore } from "../../src/index.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { describeLog, describeStore, encodedSums, HISTORY, type LiveFindings } from "./same-bytes-history.js";

const WRITER = fileURLToPath(new URL("./children/same-bytes-process.js", import.meta.url));
const ROUNDS = [
  { writers: 1, sealing: "no" },
  { writers: 2, sealing: "sealing" },
  { writers: 8, sealing: "sealing" },
] as const;
const SEALED_ON_THE_WAY = 2;
const CHILD_DEADLINE_MS = 40_000;
const CODE_OF_A_REFUSAL = "ERR_EVENTS_VERSION_CONFLICT";

const test = suite("crash/same-bytes");

/** Every line of the one against the other, so that a failure names the first that differs. */
function sameText(actual: string, expected: string, what: string): void {
  if (actual === expected) return;
  const actualLines = actual.split("\n");
  const expectedLines = expected.split("\n");
  const index = actualLines.findIndex((line, at) => line !== expectedLines[at]);
  throw new Error(`${what}, line ${index + 1}:\n${actualLines[index]}\ninstead of\n${expectedLines[index]}`);
}

interface Findings extends LiveFindings {
  /** What a reader saw beside the writers. */
  readonly besideLog: string;
  readonly besideStore: string;
}

/** Has a process of so many writers write the history, looks while it lives, and kills it. */
async function writeHistory(
  directory: string,
  { writers, sealing }: (typeof ROUNDS)[number],
  findingsPath: string,
): Promise<Findings> {
  const args = [directory, String(writers), findingsPath, sealing];
  const child = spawn(process.execPath, ["--enable-source-maps", WRITER, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
    timeout: CHILD_DEADLINE_MS,
    killSignal: "SIGKILL",
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  try {
    let isDone = false;
    for await (const line of createInterface({ input: child.stdout })) {
      isDone = line === "done";
      if (isDone) break;
    }
    if (!isDone) throw new Error(`the process of ${writers} writers ended before it was done\n${stderr}`);
    const reader = await openReader(directory);
    try {
      const besideLog = await describeLog(reader.readAll());
      const besideStore = await describeStore(reader.readAll());
      const live = JSON.parse(readFileSync(findingsPath, "utf8")) as LiveFindings;
      return { ...live, besideLog, besideStore };
    } finally {
      await reader.close();
    }
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}

test("the history has refusals, appends over several streams and enough events to fill several frames", () => {
  assert.ok(HISTORY.filter(({ parts }) => parts.length > 1).length > 20);
  assert.ok(HISTORY.length > 200);
});

test(
  "1, 2 and 8 writers of the same history leave the same bytes: live, beside, after a crash, sealed and compacted",
  async () => {
    let expected: { answers: readonly string[]; log: string; encoded: string } | null = null;
    for (const round of ROUNDS) {
      const { writers, sealing } = round;
      const place = temporaryDirectory();
      const directory = join(place, "store");
      const live = await writeHistory(directory, round, join(place, "findings.json"));
      const log = live.logs[0] as string;
      const storeText = live.stores[0] as string;
      expected ??= { answers: live.answers, log, encoded: live.encoded };
      assert.ok(live.answers.filter((answer) => answer.includes(CODE_OF_A_REFUSAL)).length > 5);
      assert.ok(log.split("\n").length > HISTORY.length);

      sameText(live.answers.join("\n"), expected.answers.join("\n"), `answers to ${writers} writers`);
      sameText(log, expected.log, `log of ${writers} writers`);
      for (const [index, text] of live.logs.entries())
        sameText(text, log, `log as writer ${index} of ${writers} reads it`);
      for (const [index, text] of live.stores.entries()) sameText(text, storeText, `ids as writer ${index} reads them`);
      sameText(live.besideLog, log, `log of ${writers} writers beside them`);
      sameText(live.besideStore, storeText, `ids of ${writers} writers beside them`);
      sameText(live.encoded, expected.encoded, `projection of ${writers} writers`);

      // The projection's checkpoint is of before the crash, until the store makes one.
      for (const when of ["after recovery", "after a clean close", "after a checkpoint", "after a compaction"]) {
        const store = await openStore(directory, { onWaiting: () => {} });
        try {
          if (when === "after a checkpoint") assert.ok((await store.checkpoint()).log !== null);
          if (when === "after a compaction") {
            const report = await store.compact();
            assert.is(report?.compactedSegments, sealing === "sealing" ? SEALED_ON_THE_WAY : 0);
            assert.is(report?.segments, 1);
          }
          sameText(await describeLog(store.readAll()), log, `log of ${writers} writers ${when}`);
          sameText(await describeStore(store.readAll()), storeText, `ids of ${writers} writers ${when}`);
          sameText(await encodedSums(store), expected.encoded, `projection of ${writers} writers ${when}`);
        } finally {
          await store.close();
        }
        const reader = await openReader(directory);
        try {
          sameText(await describeLog(reader.readAll()), log, `log of ${writers} writers, read ${when}`);
        } finally {
          await reader.close();
        }
      }
    }
  },
  { timeoutMs: 150_000 },
);
