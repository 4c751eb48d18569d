/** What a simulated process does with its read models, beside the callers that append: one thing after the other. */

import type { Projection, ProjectionRunner, RecordedEvent, Store, StoreError } from "../../src/index.js";
import { isStoreError } from "../../src/index.js";
import { SAYS_DAMAGED, STREAM_COUNT, thrownBy } from "./caller.js";
import type { Chance } from "./chance.js";
import { Violation } from "./history.js";
import { readLog } from "./read-log.js";
import type { SimulatedProcess } from "./simulated-process.js";
import type { SinkDatabase } from "./sink-database.js";
import { type Sums, snapshotSum, streamSums, sumsOf } from "./sums.js";

const PAUSE_MS_MAX = 8;
const CANCELLED_MS_MAX = 6;
const SINK_FAILURES = 0.05;
const CANCELLED = new Error("cancelled");

export interface EngineCounts {
  rebuilds: number;
  documentRebuilds: number;
  snapshotFolds: number;
}

export interface EngineParts {
  readonly chance: Chance;
  readonly steps: number;
  readonly database: SinkDatabase;
  readonly counts: EngineCounts;
  readonly onCorrupt: (error: StoreError) => void;
}

export class EngineCaller {
  readonly #process: SimulatedProcess;
  readonly #store: Store;
  readonly #parts: EngineParts;
  readonly #sums: ProjectionRunner<Sums, RecordedEvent> | null;

  constructor(
    process: SimulatedProcess,
    store: Store,
    sums: ProjectionRunner<Sums, RecordedEvent> | null,
    parts: EngineParts,
  ) {
    this.#process = process;
    this.#store = store;
    this.#sums = sums;
    this.#parts = parts;
  }

  async run(): Promise<void> {
    const { chance, steps, database } = this.#parts;
    const sink = database.sink(() => chance.happens(SINK_FAILURES));
    const settings = { batchEvents: 1 + chance.integer(8), onReport: () => {} };
    await this.#tolerate("sink", () => this.#store.sink(sink, settings));
    const documents = await this.#documents();
    for (let step = 0; step < steps; step++) {
      await this.#process.sleep(chance.next() * PAUSE_MS_MAX);
      await this.#step(documents);
    }
  }

  async #documents(): Promise<Documents | null> {
    let documents: Documents | null = null;
    await this.#tolerate("project", async () => {
      const projection = streamSums as unknown as Projection<Documents["state"], RecordedEvent>;
      documents = await this.#store.project(projection, { checkpointEveryEvents: 15, onReport: () => {} });
    });
    return documents;
  }

  async #step(documents: Documents | null): Promise<void> {
    const { chance, counts } = this.#parts;
    const stream = `stream-${chance.integer(STREAM_COUNT)}`;
    switch (chance.integer(5)) {
      case 0:
        if (await this.#tolerate("rebuild", () => this.#rebuild())) counts.rebuilds++;
        return;
      case 1:
        await this.#tolerate("rebuild", () => documents?.rebuild({ fresh: chance.happens(0.5) }));
        return;
      case 2:
        if (await this.#tolerate("rebuildDocument", () => documents?.rebuildDocument(stream)))
          counts.documentRebuilds++;
        return;
      case 3:
        await this.#tolerate("checkpoint", () => documents?.checkpoint());
        return;
      default:
        if (await this.#tolerate("aggregateStream", () => this.#fold(stream))) counts.snapshotFolds++;
    }
  }

  /** To its end, or cancelled on the way. */
  async #rebuild(): Promise<void> {
    const { chance } = this.#parts;
    if (chance.integer(3) > 0) {
      await this.#sums?.rebuild({ fresh: chance.happens(0.3) });
      return;
    }
    const aborting = new AbortController();
    const rebuilding = this.#sums?.rebuild({ signal: aborting.signal }).catch((error: unknown) => {
      if (error !== CANCELLED) throw error;
    });
    const settled = rebuilding?.catch(() => {});
    await this.#process.sleep(chance.next() * CANCELLED_MS_MAX);
    aborting.abort(CANCELLED);
    await settled;
    await rebuilding;
  }

  /** From a snapshot or not: the same as the events say. */
  async #fold(stream: string): Promise<void> {
    const { state, version, snapshotVersion } = await this.#store.aggregateStream(stream, snapshotSum);
    const events = version === 0 ? [] : await readLog(this.#store.readStream(stream, { to: version }));
    const expected = sumsOf(events)[stream] ?? snapshotSum.initial();
    if (JSON.stringify(state) === JSON.stringify(expected)) return;
    const found = `${JSON.stringify(state)} from a snapshot of version ${snapshotVersion}`;
    throw new Violation(`${stream} at version ${version} is not what its events say: ${found}`);
  }

  async #tolerate(what: string, run: () => Promise<unknown> | undefined): Promise<boolean> {
    try {
      await run();
      return true;
    } catch (error) {
      if (error instanceof Violation) throw error;
      if (!isStoreError(error)) throw thrownBy(what, error);
      if (SAYS_DAMAGED.has(error.code)) this.#parts.onCorrupt(error);
      return false;
    }
  }
}

type Documents = ProjectionRunner<ReadonlyMap<string, Sums[string]>, RecordedEvent>;
