/** node:fs/promises of a simulated process. */

import { constants } from "node:fs";
import { realmOf } from "../realms.js";
import { SimulatedDirectory } from "../simulated-disk.js";
import { SimulatedHandle } from "../simulated-handle.js";
import { systemError } from "../system-error.js";

export { constants };

const realm = realmOf(import.meta.url);
const FLAGS: Readonly<Record<string, number>> = {
  r: constants.O_RDONLY,
  "r+": constants.O_RDWR,
  w: constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC,
  wx: constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
};

function exists(path: string): boolean {
  try {
    return realm.process.machine.disk.find(path, "stat").entry !== null;
  } catch {
    return false;
  }
}

export function open(path: string, flags: number | string = "r"): Promise<SimulatedHandle> {
  const { process } = realm;
  const bits = typeof flags === "number" ? flags : FLAGS[flags];
  if (bits === undefined) throw new Error(`flags "${flags}" are not simulated`);
  const creates = (bits & constants.O_CREAT) !== 0;
  const options = { creates, isNew: (bits & constants.O_EXCL) !== 0, truncates: (bits & constants.O_TRUNC) !== 0 };
  const kind = creates && !exists(path) ? "create" : "open";
  return process.later(kind, path, () => new SimulatedHandle(process, process.open(path, options), path));
}

export async function readFile(path: string, encoding: BufferEncoding): Promise<string> {
  const handle = await open(path);
  try {
    return (await handle.readFile()).toString(encoding);
  } finally {
    await handle.close();
  }
}

/** The file system has no second names for files. */
export async function link(from: string): Promise<void> {
  throw systemError("EPERM", "link", from);
}

export async function copyFile(from: string, to: string): Promise<void> {
  const source = await open(from);
  const target = await open(to, "wx");
  try {
    await target.writeFile(await source.readFile());
  } finally {
    await source.close();
    await target.close();
  }
}

export function unlink(path: string): Promise<void> {
  const { process } = realm;
  return process.later("unlink", path, () => process.machine.disk.unlink(path));
}

export async function rm(path: string, options?: { readonly force?: boolean }): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (options?.force !== true || (error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

export function rename(from: string, to: string): Promise<void> {
  const { process } = realm;
  return process.later("rename", from, () => process.machine.rename(from, to));
}

/** The topmost directory that it made, with `recursive`. */
export async function mkdir(path: string, options?: { readonly recursive?: boolean }): Promise<string | undefined> {
  const { process } = realm;
  const make = (at: string): Promise<void> =>
    process.later("mkdir", at, () => {
      if (options?.recursive !== true || !exists(at)) process.machine.disk.makeDirectory(at);
    });
  if (options?.recursive !== true) {
    await make(path);
    return undefined;
  }
  const parts = path.split("/").filter((part) => part !== "");
  let topmost: string | undefined;
  for (let count = 1; count <= parts.length; count++) {
    const above = `/${parts.slice(0, count).join("/")}`;
    if (exists(above)) continue;
    await make(above);
    topmost ??= above;
  }
  return topmost;
}

/** Of an entry, what a listing says of it. */
interface Listed {
  readonly name: string;
  readonly parentPath: string;
  readonly isDirectory: () => boolean;
  readonly isFile: () => boolean;
}

export function readdir(path: string): Promise<string[]>;
export function readdir(path: string, options: { recursive: true; withFileTypes: true }): Promise<Listed[]>;
export function readdir(path: string, options?: object): Promise<string[] | Listed[]> {
  const { process } = realm;
  return process.later("list", path, () => {
    const { entry } = process.machine.disk.find(path, "scandir");
    if (!(entry instanceof SimulatedDirectory))
      throw systemError(entry === null ? "ENOENT" : "ENOTDIR", "scandir", path);
    return options === undefined ? [...entry.entries.keys()] : [...listedIn(entry, path)];
  });
}

/** With all that lies below. */
function* listedIn(directory: SimulatedDirectory, parentPath: string): Generator<Listed> {
  for (const [name, entry] of directory.entries) {
    const isDirectory = entry instanceof SimulatedDirectory;
    yield { name, parentPath, isDirectory: () => isDirectory, isFile: () => !isDirectory };
    if (isDirectory) yield* listedIn(entry, `${parentPath}/${name}`);
  }
}

export function stat(path: string): Promise<{ readonly size: number; readonly mtimeMs: number }> {
  const { process } = realm;
  return process.later("stat", path, () => {
    const { entry } = process.machine.disk.find(path, "stat");
    if (entry === null) throw systemError("ENOENT", "stat", path);
    if (entry instanceof SimulatedDirectory) return { size: 0, mtimeMs: 0 };
    return { size: entry.size, mtimeMs: entry.changeCount };
  });
}
