/**
 * A log read by another thread of the process that has it open: to help with a long reading.
 *
 * It is as `Wal` and `LogView` read, but for knowing nothing of what is durable, so nothing is scanned when it opens: who asks says up to where. What
 * goes wrong here need not be told from what goes wrong there, where the same is read again. Not for a store that is encrypted, whose keys stay with
 * who has it open.
 */

import { assert } from "../assert.js";
import { type BlockIo, BufferPool, openIo } from "../ffi/index.js";
import { LogIndex } from "./frame-index.js";
import { LogReader } from "./log-reader.js";
import { currentManifest } from "./manifest-change.js";
import type { LogFrame } from "./sealed/sealed-format.js";
import { openSealedTier } from "./sealed-tier.js";
import { TieredReader } from "./tiered-reader.js";
import { READ_CHUNK_BYTES, READ_CHUNKS_MAX } from "./wal.js";

export class SideReader {
  readonly #io: BlockIo;
  readonly #pool: BufferPool;
  readonly #reader: TieredReader;

  /** @throws StoreError as opening the log does */
  static async open(directory: string, storeId: string): Promise<SideReader> {
    const manifest = await currentManifest(directory);
    assert(manifest.storeId === storeId, "the directory holds the store that is open");
    assert(manifest.encryption === undefined, "an encrypted store is read by who has its keys");
    const io = openIo("auto", `${directory}/lock`);
    const pool = new BufferPool(READ_CHUNK_BYTES, READ_CHUNKS_MAX);
    try {
      const sealed = await openSealedTier({ io, pool, directory }, manifest);
      const place = { io, pool, directory, storeId: Buffer.from(storeId, "hex"), manifest };
      const hot = new LogReader({ ...place, index: new LogIndex(), settled: [], tails: () => null });
      return new SideReader(io, pool, new TieredReader({ directory, manifest, hot, sealed }));
    } catch (error) {
      await io.close();
      pool.close();
      throw error;
    }
  }

  private constructor(io: BlockIo, pool: BufferPool, reader: TieredReader) {
    this.#io = io;
    this.#pool = pool;
    this.#reader = reader;
  }

  /** As `Wal.frames`. `through` is durable. */
  frames(after: number, through: number): AsyncGenerator<LogFrame, void, undefined> {
    return this.#reader.frames(after, through);
  }

  async close(): Promise<void> {
    await this.#reader.close();
    await this.#io.close();
    this.#pool.close();
  }
}
