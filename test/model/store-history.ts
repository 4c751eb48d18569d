/** A random history through a store on disk: commands and batches, checkpoints, reopening, and replay without a checkpoint. */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { type Graph, isStoreError, type NamedSnapshot, openReader, openStore, type Store } from "../../src/index.js";
import type { TestEvent } from "../projections/graph/raw-events.js";
import { type Chance, chance } from "../simulation/chance.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { expecting } from "./command-history.js";
import { Comparison } from "./compare.js";
import { someEvent, type TimeScale } from "./model-history.js";
import { SUBJECTS, someIndex } from "./model-run.js";
import { NaiveGraph } from "./naive-graph.js";

/** How many commands and batches. */
const STEPS = 60;
const VIEWS = 12;
const BATCH_MAX = 5;
const PACKAGE = "varve.v1.";

export async function runStoreHistory(
  seed: number,
  number: number,
  length = STEPS,
): Promise<{ events: number; compared: number }> {
  const random = chance(seed, `store ${number}`);
  const directory = join(temporaryDirectory(), "store");
  // The present of the store lies where recorded times are in the other histories: most periods are around it.
  const openedAt = Date.now() * 1000;
  const scale: TimeScale = (time) => openedAt + (time - 10) * 3_600_000_000;
  const model = new NaiveGraph();
  let store = await openStore(directory);
  let compared = 0;
  // Everything that is superseded goes to files at each checkpoint, or nothing does.
  const options = number % 2 === 0 ? {} : { historyInMemoryDays: 0 };
  try {
    for (let step = 0; step < length; step += 1) {
      const graph = await store.graph(options);
      await write(store, graph, model, random, scale);
      if (random.integer(10) === 0) await graph.index(someIndex(random));
      if (random.integer(10) === 0) await store.checkpoint();
      if (random.integer(12) === 0) {
        await store.close();
        // Without what was saved, all of it is replayed.
        if (random.integer(2) === 0) rmSync(join(directory, "projections"), { recursive: true, force: true });
        store = await openStore(directory);
      }
      if (random.integer(length) < 6) compared += askAll(await store.graph(options), model, random);
    }
    compared += askAll(await store.graph(options), model, random);
    await using reader = await openReader(directory);
    compared += askAll(await reader.graph(), model, random);
  } finally {
    await store.close();
  }
  rmSync(directory, { recursive: true });
  return { events: model.lsn, compared };
}

/** A command that must end as the model says, or several events in one append, which have one recordedAt. */
async function write(store: Store, graph: Graph, model: NaiveGraph, random: Chance, scale: TimeScale): Promise<void> {
  const draft = expecting(random, someEvent(random, scale, 10), model.lsn);
  const isToCome = ((draft.data["lsn"] as number | undefined) ?? 0) > model.lsn;
  // What creates by command takes ids of its own, which the questions would not know.
  if (random.integer(3) > 0 || isToCome || /Created$|Upserted$|Batch$|^Other$/.test(draft.type)) {
    const more = Array.from({ length: random.integer(BATCH_MAX) }, () => someEvent(random, scale, 10));
    const events = [draft, ...more].map(({ type, data }) =>
      type === "Other" ? { type, data: { note: 1 } } : { type: PACKAGE + type, data },
    );
    await store.append(random.pick(["graph", "import"]), events);
    await follow(store, graph, model);
    return;
  }
  const before = store.watermark;
  const foreseen = model.refusalOf({ ...draft, lsn: 0, recordedAt: 0 }, Date.now() * 1000, model.lsn);
  const code = await command(graph, draft).then(
    () => null,
    (error: unknown) => {
      if (!isStoreError(error)) throw error;
      return error.code;
    },
  );
  const where = `the outcome of ${draft.type} ${JSON.stringify(draft.data)}`;
  if (code !== (foreseen?.code ?? null)) throw new Error(`${where}: ${code}, but the model says ${foreseen?.code}`);
  if (code !== null && store.watermark !== before) throw new Error(`${where}: it was written although it was refused`);
  await follow(store, graph, model);
}

async function command(graph: Graph, { type, data }: Pick<TestEvent, "type" | "data">): Promise<unknown> {
  const { id, properties = {}, ...rest } = data as { id: number; properties?: never };
  switch (type) {
    case "NodePut":
      return graph.putNode(id, { properties, ...rest } as never);
    case "EdgePut":
      return graph.putEdge(id, { properties, ...rest } as never);
    case "NodePatched":
      return graph.patchNode(id, properties, rest);
    case "EdgePatched":
      return graph.patchEdge(id, properties, rest);
    case "NodeReplaced":
      return graph.replaceNode(id, properties, rest);
    case "EdgeReplaced":
      return graph.replaceEdge(id, properties, rest);
    case "NodeDeleted":
      return graph.deleteNode(id, rest);
    case "EdgeDeleted":
      return graph.deleteEdge(id, rest);
    case "NodeRetracted":
      return graph.retractNode(id, rest);
    case "EdgeRetracted":
      return graph.retractEdge(id, rest);
    case "GraphConstraintAdded":
      return graph.addConstraint(data as never);
    case "GraphConstraintRemoved":
      return graph.removeConstraint(data as never);
    case "GraphPurged":
      return graph.purge(data as never);
    case "GraphSnapshotNamed": {
      const { name, validAt, lsn } = data as unknown as NamedSnapshot;
      return graph.nameSnapshot(name, { validAt, recordedAt: { lsn } });
    }
    case "GraphSnapshotRemoved":
      return graph.removeSnapshot(data["name"] as string);
    default:
      throw new Error(`no command writes ${type}`);
  }
}

/** Gives the model what the log has beyond it. */
async function follow(store: Store, graph: Graph, model: NaiveGraph): Promise<void> {
  for await (const { lsn, recordedAt, type, data } of store.readAll({ after: model.lsn })) {
    const short = type.startsWith(PACKAGE) ? type.slice(PACKAGE.length) : type;
    model.apply({ lsn, recordedAt, type: short, data: data as TestEvent["data"] });
  }
  await graph.whenApplied(model.lsn);
}

function askAll(graph: Graph, model: NaiveGraph, random: Chance): number {
  if (model.lsn === 0) return 0;
  const comparison = new Comparison(graph, graph, model, SUBJECTS, random);
  comparison.state();
  comparison.snapshots();
  const bounds = [0, ...SUBJECTS.nodeIds.flatMap((id) => model.bounds("node", id))];
  const views = Array.from({ length: VIEWS }, () => {
    const validAt = random.pick(bounds) + random.integer(3) - 1;
    const lsn = 1 + random.integer(model.lsn);
    const recordedAt = [undefined, { lsn }, model.timeOf(lsn) + random.integer(3) - 1][random.integer(3)];
    const point = { validAt, ...(recordedAt !== undefined && { recordedAt }) };
    const pair = comparison.views(point, 0);
    comparison.view(...pair, recordedAt);
    return pair;
  });
  const [first, second] = views;
  if (first !== undefined && second !== undefined) comparison.diff(first, second);
  const now = Date.now() * 1000;
  // Recorded histories are of the present, which goes on meanwhile: no bound lies between the two looks at the clock.
  comparison.histories(now);
  comparison.chronicle(bounds);
  comparison.grid(bounds, [model.lsn]);
  return comparison.count;
}
