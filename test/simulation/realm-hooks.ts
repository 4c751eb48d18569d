/** The module hooks behind `realms.ts`; they run in the loader's thread. */

import { readFile } from "node:fs/promises";
import type { LoadFnOutput, LoadHookContext, ResolveFnOutput, ResolveHookContext } from "node:module";
import { fileURLToPath } from "node:url";

const SYSTEM = new URL("system/", import.meta.url);
const SOURCES = new URL("../../src/", import.meta.url).href;

/** Node's modules that a process is not to have. */
const NODE_MODULES: ReadonlyMap<string, string> = new Map([
  ["node:fs", "fs.js"],
  ["node:fs/promises", "fs-promises.js"],
  ["node:timers/promises", "timers-promises.js"],
  ["node:worker_threads", "worker-threads.js"],
  ["node:crypto", "crypto.js"],
]);
/** Modules of the store that talk to the kernel themselves. */
const KERNEL_MODULES: ReadonlyMap<string, string> = new Map([
  [`${SOURCES}ffi/libc.js`, "libc.js"],
  [`${SOURCES}ffi/open-io.js`, "open-io.js"],
  [`${SOURCES}ffi/ring.js`, "ring.js"],
  [`${SOURCES}ffi/baseline.js`, "baseline.js"],
]);
/** Without state, and better had once: an error is of the same class for all. */
const SHARED: ReadonlySet<string> = new Set([`${SOURCES}errors.js`, `${SOURCES}assert.js`]);
const GLOBALS =
  "setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate, performance, process, Date, Atomics";

function realmIn(url: string | undefined): string | null {
  if (url === undefined || !url.startsWith("file:")) return null;
  return new URL(url).searchParams.get("realm");
}

export async function resolve(
  specifier: string,
  context: ResolveHookContext,
  nextResolve: (specifier: string, context: ResolveHookContext) => Promise<ResolveFnOutput>,
): Promise<ResolveFnOutput> {
  const realm = realmIn(context.parentURL);
  if (realm === null) return nextResolve(specifier, context);
  const of = (url: string): ResolveFnOutput => ({ url: `${url}?realm=${realm}`, format: "module", shortCircuit: true });
  const isOfStore = context.parentURL?.startsWith(SOURCES) === true;
  const nodeModule = isOfStore ? NODE_MODULES.get(specifier) : undefined;
  if (nodeModule !== undefined) return of(new URL(nodeModule, SYSTEM).href);
  if (!specifier.startsWith(".")) return nextResolve(specifier, context);
  const { href } = new URL(specifier, context.parentURL);
  const kernelModule = KERNEL_MODULES.get(href);
  if (kernelModule !== undefined) return of(new URL(kernelModule, SYSTEM).href);
  if (!href.startsWith(SOURCES) || SHARED.has(href)) return nextResolve(specifier, context);
  return of(href);
}

export async function load(
  url: string,
  context: LoadHookContext,
  nextLoad: (url: string, context: LoadHookContext) => Promise<LoadFnOutput>,
): Promise<LoadFnOutput> {
  const realm = realmIn(url);
  if (realm === null || !url.startsWith(SOURCES)) return nextLoad(url, context);
  const source = await readFile(fileURLToPath(url), "utf8");
  const globals = new URL(`globals.js?realm=${realm}`, SYSTEM).href;
  // On the first line, so that lines stay what they are.
  return { format: "module", source: `import { ${GLOBALS} } from "${globals}"; ${source}`, shortCircuit: true };
}
