/** The file that salvaged events go to: a new one, outside the store, durable when it is closed. */

import { realpathSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { UsageError } from "./failure.js";

const BUFFERED_CHARACTERS_MAX = 256 * 1024;

export class SalvageTarget {
  readonly path: string;
  readonly #handle: FileHandle;
  #buffered = "";

  /** @throws UsageError when the file is there already, or would lie in the store */
  static async create(path: string, store: string): Promise<SalvageTarget> {
    if (isWithin(path, store)) throw new UsageError(`--out ${path} lies in the store, which is not to be touched`);
    try {
      return new SalvageTarget(path, await open(path, "wx"));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      throw new UsageError(`--out ${path} exists already`, { cause: error });
    }
  }

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  line(text: string): Promise<void> | undefined {
    this.#buffered += `${text}\n`;
    return this.#buffered.length < BUFFERED_CHARACTERS_MAX ? undefined : this.#flush();
  }

  async #flush(): Promise<void> {
    const text = this.#buffered;
    this.#buffered = "";
    await this.#handle.writeFile(text);
  }

  /** Everything is durable then. */
  async finish(): Promise<void> {
    await this.#flush();
    await this.#handle.datasync();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

function isWithin(path: string, store: string): boolean {
  try {
    const way = relative(realpathSync(store), join(realpathSync(dirname(path)), basename(path)));
    return way !== "" && !way.startsWith("..");
  } catch {
    return false; // one of the two is not there, which is told by who opens it
  }
}
