/** node:fs of a simulated process: the calls that the store makes. */

import { constants } from "node:fs";
import { realmOf } from "../realms.js";
import { SimulatedDirectory } from "../simulated-disk.js";
import { systemError } from "../system-error.js";

export { constants };

const realm = realmOf(import.meta.url);
const ROOT = "/";

export function openSync(path: string, flags: number): number {
  const { process } = realm;
  const creates = (flags & constants.O_CREAT) !== 0;
  const isNew = creates && !exists(path);
  const options = { creates, isNew: (flags & constants.O_EXCL) !== 0, truncates: (flags & constants.O_TRUNC) !== 0 };
  return process.call(isNew ? "create" : "open", path, () => process.open(path, options));
}

/** Whether it fails or not, the descriptor is free afterwards. */
export function closeSync(fd: number): void {
  realm.process.assertAlive();
  realm.process.close(fd);
}

const inodes = new WeakMap<object, number>();
let nextInode = 1;

function inodeOf(file: object): number {
  const inode = inodes.get(file) ?? nextInode++;
  inodes.set(file, inode);
  return inode;
}

export function fstatSync(fd: number): { readonly size: number; readonly ino: number } {
  const open = realm.process.openFile(fd, "fstat");
  return realm.process.call("stat", open.path, () => ({ size: open.file.size, ino: inodeOf(open.file) }));
}

export function ftruncateSync(fd: number, size: number): void {
  const open = realm.process.openFile(fd, "ftruncate");
  realm.process.call("truncate", open.path, () => open.file.truncate(size));
}

export function readSync(fd: number, target: Buffer, offset: number, length: number, position: number): number {
  const open = realm.process.openFile(fd, "read");
  return realm.process.call("read", open.path, () => {
    const bytes = Buffer.alloc(Math.max(0, Math.min(length, open.file.size - position)));
    open.file.read(bytes, position);
    target.set(bytes, offset);
    return bytes.length;
  });
}

export function writeSync(fd: number, text: string, position: number): number;
export function writeSync(fd: number, bytes: Buffer, offset: number, length: number, position: number): number;
export function writeSync(fd: number, data: string | Buffer, at: number, length = 0, position = 0): number {
  const open = realm.process.openFile(fd, "write");
  const [bytes, to] = typeof data === "string" ? [Buffer.from(data), at] : [data.subarray(at, at + length), position];
  realm.process.call("write", open.path, () => open.file.write(bytes, to, false));
  return bytes.length;
}

export function fdatasync(fd: number, done: (error: Error | null) => void): void {
  const { process } = realm;
  const { file, path } = process.openFile(fd, "fdatasync");
  const succeed = file.syncPoint();
  process.later("sync", path, succeed).then(
    () => done(null),
    (error: Error) => {
      file.forget();
      done(error);
    },
  );
}

export function readFileSync(path: string, encoding: BufferEncoding): string {
  return realm.process.call("read", path, () => {
    const { entry } = realm.process.machine.disk.find(path, "open");
    if (entry === null) throw systemError("ENOENT", "open", path);
    if (entry instanceof SimulatedDirectory) throw systemError("EISDIR", "read", path);
    const bytes = Buffer.alloc(entry.size);
    entry.read(bytes, 0);
    return bytes.toString(encoding);
  });
}

export function unlinkSync(path: string): void {
  realm.process.call("unlink", path, () => realm.process.machine.disk.unlink(path));
}

export function rmSync(path: string, options?: { readonly force: boolean }): void {
  if (options?.force === true && !exists(path)) return;
  unlinkSync(path);
}

export function renameSync(from: string, to: string): void {
  realm.process.call("rename", from, () => realm.process.machine.rename(from, to));
}

export function mkdirSync(path: string, options?: { readonly recursive: boolean }): void {
  realm.process.assertAlive();
  if (options?.recursive !== true) {
    realm.process.call("mkdir", path, () => realm.process.machine.disk.makeDirectory(path));
    return;
  }
  const parts = path.split("/").filter((part) => part !== "");
  parts.forEach((_, index) => {
    const above = `/${parts.slice(0, index + 1).join("/")}`;
    if (!exists(above)) mkdirSync(above);
  });
}

export function readdirSync(path: string): string[] {
  return realm.process.call("list", path, () => {
    const { entry } = realm.process.machine.disk.find(path, "scandir");
    if (!(entry instanceof SimulatedDirectory))
      throw systemError(entry === null ? "ENOENT" : "ENOTDIR", "scandir", path);
    return [...entry.entries.keys()];
  });
}

function exists(path: string): boolean {
  try {
    return path === ROOT || realm.process.machine.disk.find(path, "stat").entry !== null;
  } catch {
    return false;
  }
}

export function existsSync(path: string): boolean {
  realm.process.assertAlive();
  return exists(path);
}

/** There is one file system. */
export function statSync(
  path: string,
  { throwIfNoEntry = true }: { readonly throwIfNoEntry?: boolean } = {},
): { readonly dev: number; readonly isDirectory: () => boolean } | undefined {
  realm.process.assertAlive();
  if (!exists(path)) {
    if (throwIfNoEntry) throw systemError("ENOENT", "stat", path);
    return undefined;
  }
  const { entry } = realm.process.machine.disk.find(path, "stat");
  return { dev: 1, isDirectory: () => entry instanceof SimulatedDirectory };
}

export function realpathSync(path: string): string {
  if (!exists(path)) throw systemError("ENOENT", "realpath", path);
  return path;
}
