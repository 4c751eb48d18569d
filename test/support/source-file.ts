/** The project's own TypeScript files, as text, for the tests that look at the code instead of running it. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";

export interface SourceFile {
  /** From the project's root: `src/wal/format.ts`. */
  readonly path: string;
  readonly text: string;
}

/** The project's root: this file runs as build/test/support/source-file.js. */
export const PROJECT_ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** Every TypeScript file below a folder of the project. */
export function sourceFiles(folder: string): SourceFile[] {
  return readdirSync(join(PROJECT_ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `${folder}/${name}`)
    .sort()
    .map((path) => ({ path, text: readFileSync(join(PROJECT_ROOT, path), "utf8") }));
}

/** A file of the project, or null when it does not exist. */
export function readProjectFile(path: string): string | null {
  const full = join(PROJECT_ROOT, path);
  return existsSync(full) ? readFileSync(full, "utf8") : null;
}

/** The text without its comments. A string that holds ` //` loses its rest, which is near enough for counting. */
export function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "$1");
}

/** How many lines hold code. */
export function countCodeLines(text: string): number {
  return withoutComments(text)
    .split("\n")
    .filter((line) => line.trim() !== "").length;
}

/** The project's files that a file names in a relative `….js` specifier: imports, re-exports, workers, child processes. */
export function referencedFiles(file: SourceFile): string[] {
  const specifiers = withoutComments(file.text).matchAll(/["'`](\.{1,2}\/[^"'`\s]+)\.js["'`]/g);
  return Array.from(specifiers, ([, path]) => `${posix.join(posix.dirname(file.path), path ?? "")}.ts`);
}
