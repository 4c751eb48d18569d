/**
 * The simulated disk: a tree of directories with files, and what of it a power cut leaves.
 *
 * A name that was made, moved or removed is durable when its directory was synced. Of the operations that were not, a power cut can leave any
 * subset in which nothing is missing on which another depends: an operation on a name comes after the ones before it on the same name. A
 * rename is whole or not at all. That is more than ext4 or XFS would ever do, and all that POSIX promises.
 */

import { createHash } from "node:crypto";
import type { Chance } from "./chance.js";
import { type CrashKind, SimulatedFile } from "./simulated-file.js";
import { systemError } from "./system-error.js";

export type Entry = SimulatedFile | SimulatedDirectory;

export class SimulatedDirectory {
  readonly path: string;
  readonly entries = new Map<string, Entry>();
  readonly stableEntries = new Map<string, Entry>();

  constructor(path: string) {
    this.path = path;
  }
}

interface NameChange {
  readonly directory: SimulatedDirectory;
  readonly name: string;
  readonly entry: Entry | null;
}

/** One operation on names that is not folded into the stable tree yet. */
interface NameOperation {
  readonly changes: readonly NameChange[];
  isDurable: boolean;
}

function touchSame(a: NameOperation, b: NameOperation): boolean {
  return a.changes.some((one) =>
    b.changes.some((other) => one.directory === other.directory && one.name === other.name),
  );
}

function apply(entries: Map<string, Entry>, name: string, entry: Entry | null): void {
  if (entry === null) entries.delete(name);
  else entries.set(name, entry);
}

export interface Place {
  readonly directory: SimulatedDirectory;
  readonly name: string;
  readonly entry: Entry | null;
}

export class SimulatedDisk {
  readonly root = new SimulatedDirectory("/");
  #operations: NameOperation[] = [];

  /** Where a path leads; the last part of it need not exist. */
  find(path: string, syscall: string): Place {
    const parts = path.split("/").filter((part) => part !== "" && part !== ".");
    let directory = this.root;
    if (parts.length === 0) return { directory, name: "", entry: directory };
    for (const part of parts.slice(0, -1)) {
      const next = directory.entries.get(part);
      if (next === undefined) throw systemError("ENOENT", syscall, path);
      if (!(next instanceof SimulatedDirectory)) throw systemError("ENOTDIR", syscall, path);
      directory = next;
    }
    const name = parts.at(-1) as string;
    return { directory, name, entry: directory.entries.get(name) ?? null };
  }

  createFile(path: string): SimulatedFile {
    const { directory, name, entry } = this.find(path, "open");
    if (entry !== null) throw systemError("EEXIST", "open", path);
    const file = new SimulatedFile(path, null);
    this.#change([{ directory, name, entry: file }]);
    return file;
  }

  makeDirectory(path: string): void {
    const { directory, name, entry } = this.find(path, "mkdir");
    if (entry !== null) throw systemError("EEXIST", "mkdir", path);
    this.#change([{ directory, name, entry: new SimulatedDirectory(path) }]);
  }

  rename(from: string, to: string): void {
    const source = this.find(from, "rename");
    if (source.entry === null) throw systemError("ENOENT", "rename", from);
    const target = this.find(to, "rename");
    this.#change([
      { directory: source.directory, name: source.name, entry: null },
      { directory: target.directory, name: target.name, entry: source.entry },
    ]);
  }

  unlink(path: string): void {
    const { directory, name, entry } = this.find(path, "unlink");
    if (entry === null) throw systemError("ENOENT", "unlink", path);
    if (entry instanceof SimulatedDirectory) throw systemError("EISDIR", "unlink", path);
    this.#change([{ directory, name, entry: null }]);
  }

  /** Makes the names in a directory durable, and what they depend on. */
  syncDirectory(directory: SimulatedDirectory): void {
    const needed = this.#operations.map((operation) =>
      operation.changes.some((change) => change.directory === directory),
    );
    for (let later = this.#operations.length - 1; later >= 0; later--) {
      if (!needed[later]) continue;
      const operation = this.#operations[later] as NameOperation;
      operation.isDurable = true;
      for (let earlier = 0; earlier < later; earlier++) {
        if (touchSame(this.#operations[earlier] as NameOperation, operation)) needed[earlier] = true;
      }
    }
    const kept: NameOperation[] = [];
    for (const operation of this.#operations) {
      if (!operation.isDurable || kept.some((before) => touchSame(before, operation))) kept.push(operation);
      else for (const { directory: where, name, entry } of operation.changes) apply(where.stableEntries, name, entry);
    }
    this.#operations = kept;
  }

  #change(changes: readonly NameChange[]): void {
    for (const { directory, name, entry } of changes) apply(directory.entries, name, entry);
    this.#operations.push({ changes, isDurable: false });
  }

  /** What a power cut leaves, as a disk on which everything is durable. */
  afterPowerCut(kind: CrashKind, chance: Chance): SimulatedDisk {
    const left = new Map<SimulatedDirectory, Map<string, Entry>>();
    const entriesOf = (directory: SimulatedDirectory): Map<string, Entry> => {
      const known = left.get(directory) ?? new Map(directory.stableEntries);
      left.set(directory, known);
      return known;
    };
    const lost: NameOperation[] = [];
    // The journal of a real file system: what came first is there first.
    const journalEnd = chance.integer(this.#operations.length + 1);
    const isOrdered = chance.integer(2) === 0;
    this.#operations.forEach((operation, index) => {
      const isLeft = operation.isDurable || isLeftBy(kind, chance, isOrdered ? index < journalEnd : null);
      if (!isLeft || lost.some((before) => touchSame(before, operation))) lost.push(operation);
      else for (const { directory, name, entry } of operation.changes) apply(entriesOf(directory), name, entry);
    });
    const disk = new SimulatedDisk();
    copyTree(this.root, disk.root, entriesOf, (file) => file.afterPowerCut(kind, chance));
    return disk;
  }

  /** The same once more. Nothing may be in flight. */
  copy(): SimulatedDisk {
    const disk = new SimulatedDisk();
    copyTree(
      this.root,
      disk.root,
      (directory) => directory.entries,
      (file) => file.copy(),
    );
    return disk;
  }

  /** Of what lies on it: equal for equal disks. */
  digest(): string {
    const hash = createHash("sha1");
    for (const [path, file] of this.files().sort()) {
      hash.update(`${path} ${file.size} `);
      for (const page of file.pageNumbers) hash.update(`${page} `).update(file.page(page));
    }
    return hash.digest("hex");
  }

  /** Removes files as if they had never been there. */
  forget(isForgotten: (path: string) => boolean): void {
    for (const [path] of this.files()) {
      if (!isForgotten(path)) continue;
      const { directory, name } = this.find(path, "unlink");
      directory.entries.delete(name);
      directory.stableEntries.delete(name);
    }
  }

  /** Every file, by its path. */
  files(): [path: string, file: SimulatedFile][] {
    const found: [string, SimulatedFile][] = [];
    const walk = (directory: SimulatedDirectory, path: string): void => {
      for (const [name, entry] of directory.entries) {
        if (entry instanceof SimulatedDirectory) walk(entry, `${path}/${name}`);
        else found.push([`${path}/${name}`, entry]);
      }
    };
    walk(this.root, "");
    return found;
  }
}

function isLeftBy(kind: CrashKind, chance: Chance, isInJournal: boolean | null): boolean {
  if (kind === "none") return false;
  if (kind === "all") return true;
  return isInJournal ?? chance.integer(2) === 0;
}

function copyTree(
  from: SimulatedDirectory,
  to: SimulatedDirectory,
  entriesOf: (directory: SimulatedDirectory) => Map<string, Entry>,
  copyFile: (file: SimulatedFile) => SimulatedFile,
): void {
  for (const [name, entry] of entriesOf(from)) {
    let copy: Entry;
    if (entry instanceof SimulatedDirectory) {
      copy = new SimulatedDirectory(entry.path);
      copyTree(entry, copy, entriesOf, copyFile);
    } else {
      copy = copyFile(entry);
    }
    to.entries.set(name, copy);
    to.stableEntries.set(name, copy);
  }
}
