/** Opening a store on a machine on which nothing fails, and reading all of it. */

import type { Projection, RecordedEvent, Store, StoreError } from "../../src/index.js";
import { isStoreError } from "../../src/index.js";
import type { LsnRange } from "../../src/wal/lsn-ranges.js";
import { LATER_US } from "./caller.js";
import { type SeenEvent, Violation } from "./history.js";
import type { Keyring } from "./keyring.js";
import { readLog } from "./read-log.js";
import type { SimulatedDisk } from "./simulated-disk.js";
import type { SimulatedProcess } from "./simulated-process.js";
import { snapshotSum, streamSums, sums, sumsOf } from "./sums.js";
import type { World } from "./world.js";

export const STORE_DIRECTORY = "/store";

/** What a store was found to hold. */
export interface Inspection {
  readonly events: readonly SeenEvent[];
  readonly watermark: number;
  readonly horizon: number;
  /** Everything that the graph knows or knew; empty where nobody asked. */
  readonly graph: string;
}

/** What is looked at besides the events. */
export interface InspectionOptions {
  readonly segmentBytes: number;
  readonly graph: boolean;
  /** Whether a projection, from its checkpoint if there is one, is what its events say. */
  readonly sums: boolean;
  /** Whether its documents, its snapshots and a rebuild are. Default: no. */
  readonly engine?: boolean;
  readonly keyring: Keyring;
  /** Default: the one that is written to. */
  readonly directory?: string;
  /** Only this key is given. */
  readonly firstKey?: number | undefined;
}

/** Or why the store refuses. The world is left with a machine that has this disk. */
export async function inspectStore(
  world: World,
  disk: SimulatedDisk,
  options: InspectionOptions,
  onManifest: (bytes: Uint8Array) => void,
): Promise<Inspection | StoreError> {
  world.boot(disk).onManifest = onManifest;
  const { process, varve } = world.start(0, "inspector");
  const inspection = await world.until(inspect(process, varve.openStore, options), "the store is inspected");
  process.exit();
  return inspection;
}

async function inspect(
  process: SimulatedProcess,
  openStore: (directory: string, options: object) => Promise<Store>,
  {
    segmentBytes,
    graph,
    sums: checksSums,
    engine = false,
    keyring,
    directory = STORE_DIRECTORY,
    firstKey,
  }: InspectionOptions,
): Promise<Inspection | StoreError> {
  try {
    const store = await openStore(directory, {
      segmentBytes,
      ...keyring.options(process, firstKey, firstKey !== undefined),
    });
    const { horizon } = store;
    // Opening logs what is not said yet of subjects, and this copy of the disk is thrown away.
    const watermark = keyring.hasSubjects ? store.recovery.lastLsn : store.watermark;
    const events = await readLog(store.readAll({ after: horizon, through: watermark }));
    if (checksSums) await checkSums(store, watermark === store.watermark ? events : await readLog(store.readAll()));
    if (engine) await checkEngine(store, events);
    const found = { events, watermark, horizon, graph: graph ? await describeGraph(store) : "" };
    await store.close();
    return found;
  } catch (error) {
    if (isStoreError(error)) return error;
    throw error;
  }
}

/** What a manifest says, read by nothing of the code that is tested. */
export function manifestIn(bytes: Uint8Array): {
  readonly checkpointLsn: number;
  readonly horizonLsn: number;
  readonly voids: LsnRange[];
  /** The newest; 0: none yet. */
  readonly incarnation: number;
} {
  const body = Buffer.from(bytes).toString().split("\n")[1] ?? "{}";
  const { checkpointLsn, horizonLsn, incarnations } = JSON.parse(body) as {
    readonly checkpointLsn: number;
    readonly horizonLsn: number;
    readonly incarnations: readonly { readonly incarnation: number; readonly voids: LsnRange[] }[];
  };
  const { incarnation = 0 } = incarnations.at(-1) ?? {};
  return { checkpointLsn, horizonLsn, voids: incarnations.flatMap(({ voids }) => voids), incarnation };
}

/** Everything that the graph knows or knew. */
async function describeGraph(store: Store): Promise<string> {
  const graph = await store.graph();
  await graph.whenApplied(store.watermark);
  const view = graph.asOf({ validAt: LATER_US });
  const nodes = [...view.find({ label: "Thing" })].map(({ id }) => ({
    history: graph.history("node", id).toArray(),
    edges: [...view.edges(id)].map((edge) => graph.history("edge", edge.id).toArray()),
  }));
  return JSON.stringify([nodes, graph.counts, graph.rejectedCount]);
}

async function checkSums(store: Store, events: readonly SeenEvent[]): Promise<void> {
  const runner = await store.project(sums);
  await runner.whenProcessed(store.watermark);
  const expected = sumsOf(events);
  const isSame = JSON.stringify(runner.state) === JSON.stringify(expected);
  if (!isSame) throw new Violation(`a projection is not what its events say: ${JSON.stringify(runner.state)}`);
}

/** What processes that died have left of rebuilds, documents and snapshots changes nothing. */
async function checkEngine(store: Store, events: readonly SeenEvent[]): Promise<void> {
  const expected = sumsOf(events);
  const streams = Object.keys(expected).filter((stream) => stream.startsWith("stream-"));
  const documents = await store.project(
    streamSums as unknown as Projection<ReadonlyMap<string, unknown>, RecordedEvent>,
  );
  await documents.whenProcessed(store.watermark);
  const check = (what: string): void => {
    for (const stream of streams) requireSame(what, stream, documents.state.get(stream), expected[stream]);
    if (documents.state.size !== streams.length)
      throw new Violation(`${what}: there are ${documents.state.size} documents`);
  };
  check("documents from their checkpoint");
  for (const stream of streams) {
    const { state } = await store.aggregateStream(stream, snapshotSum);
    requireSame("a fold from its snapshot", stream, state, expected[stream]);
    await documents.rebuildDocument(stream);
  }
  check("documents that were rebuilt one by one");
  await documents.rebuild();
  check("documents that were rebuilt");
}

function requireSame(what: string, stream: string, found: unknown, expected: unknown): void {
  if (JSON.stringify(found) === JSON.stringify(expected)) return;
  throw new Violation(`${what}: ${stream} is not what its events say: ${JSON.stringify(found)}`);
}
