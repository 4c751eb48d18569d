/** Makes a wrong build of the tests' build, and runs in it what must notice. */

import { spawn } from "node:child_process";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Bug, Edit } from "./bugs.js";

const RIGHT_BUILD = fileURLToPath(new URL("../..", import.meta.url));
const HARNESS_DEADLINE_MS = 10 * 60_000;
const OUTPUT_CHARACTERS_MAX = 400;
/** How a test says at once that it has failed. */
const FAILED_TEST = "✘";
const WRITER = "test/power-cut/children/power-cut-writer.js";

/** What the edit makes of the file's text. Throws when it does not fit the code any more. */
export function edited(text: string, { file, find, replace }: Edit): string {
  const parts = text.split(find);
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} places like the one that is to be changed`);
  return parts.join(replace);
}

/** The files that the bug changes, as they would be. */
export function editedFiles({ edits }: Bug): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const edit of edits) {
    const text = files.get(edit.file) ?? readFileSync(join(RIGHT_BUILD, edit.file), "utf8");
    files.set(edit.file, edited(text, edit));
  }
  return files;
}

export interface Catch {
  readonly bug: string;
  readonly isCaught: boolean;
  readonly by: string;
  readonly elapsedMs: number;
  /** The end of what the harness said. */
  readonly said: string;
}

/** Beside the right build, so that paths to the sources lead to the same files. */
function wrongBuildPath(name: string): string {
  return resolve(RIGHT_BUILD, "..", `build-zoo-${name}`);
}

export async function tryBug(bug: Bug): Promise<Catch> {
  const directory = wrongBuildPath(bug.name);
  const startedMs = performance.now();
  cpSync(RIGHT_BUILD, directory, { recursive: true });
  try {
    for (const [file, text] of editedFiles(bug)) writeFileSync(join(directory, file), text);
    const [module, ...args] = bug.caughtBy;
    // After a power cut the right build looks what the wrong one left.
    const isPowerCut = module.startsWith("power-cut/");
    const path = join(isPowerCut ? RIGHT_BUILD : directory, "test", module);
    const { code, output } = await run(path, isPowerCut ? [...args, "--writer", join(directory, WRITER)] : args);
    const isSkipped = output.includes("skipped: ");
    return {
      bug: bug.name,
      isCaught: code !== 0 && !isSkipped,
      by: bug.caughtBy.join(" "),
      elapsedMs: Math.round(performance.now() - startedMs),
      said: output.slice(-OUTPUT_CHARACTERS_MAX),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function run(
  path: string,
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = spawn(process.execPath, ["--enable-source-maps", path, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: HARNESS_DEADLINE_MS,
    killSignal: "SIGKILL",
  });
  let output = "";
  const hear = (text: string): void => {
    output += text;
    // The first test that fails is enough: others would wait for what does not come.
    if (output.includes(FAILED_TEST)) child.kill("SIGKILL");
  };
  child.stdout.setEncoding("utf8").on("data", hear);
  child.stderr.setEncoding("utf8").on("data", hear);
  return new Promise((done, failed) => {
    child.on("error", failed);
    child.on("close", (code) => done({ code, output }));
  });
}
