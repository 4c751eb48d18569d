import { rmSync } from "node:fs";
import { join } from "node:path";
import { openReader, openStore } from "../../../src/index.js";
import { assert, rejects } from "../../support/assert.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

const test = suite("projections/graph/provenance");

const node = { label: "Person", properties: { n: 0 }, validFrom: 0 };

test("every command keeps where its change comes from, and it is read by the LSN, also after recovery", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory);
  const graph = await store.graph();
  const said: (readonly [number, object])[] = [];
  const about = (note: string) => ({ provenance: { transactionId: "t-1", source: "crm", actor: "ann", note } });
  const did = (lsn: number, note: string): void => void said.push([lsn, about(note).provenance]);
  const a = await graph.createNode({ ...node, ...about("createNode") });
  did(a.lsn, "createNode");
  const b = await graph.createNode(node);
  const edge = await graph.createEdge({
    label: "KNOWS",
    source: a.id,
    target: b.id,
    validFrom: 0,
    ...about("createEdge"),
  });
  did(edge.lsn, "createEdge");
  did((await graph.putNode(a.id, { ...node, ...about("putNode") })).lsn, "putNode");
  did(
    (await graph.putEdge(edge.id, { label: "KNOWS", source: a.id, target: b.id, validFrom: 0, ...about("putEdge") }))
      .lsn,
    "putEdge",
  );
  did((await graph.patchNode(a.id, { n: 1 }, about("patchNode"))).lsn, "patchNode");
  did((await graph.patchEdge(edge.id, { n: 1 }, about("patchEdge"))).lsn, "patchEdge");
  did((await graph.replaceNode(a.id, { n: 2 }, about("replaceNode"))).lsn, "replaceNode");
  did((await graph.replaceEdge(edge.id, { n: 2 }, about("replaceEdge"))).lsn, "replaceEdge");
  did(
    (await graph.addConstraint({ kind: "unique", label: "P", property: "k" }, about("addConstraint"))).addedBy,
    "addConstraint",
  );
  did(
    (await graph.upsertNode({ label: "P", key: "k", properties: { k: 1 }, ...about("upsertNode") })).lsn,
    "upsertNode",
  );
  did(
    (await graph.removeConstraint({ kind: "unique", label: "P", property: "k" }, about("removeConstraint"))).lsn,
    "removeConstraint",
  );
  did((await graph.nameSnapshot("s", {}, about("nameSnapshot"))).namedBy, "nameSnapshot");
  did((await graph.removeSnapshot("s", about("removeSnapshot"))).lsn, "removeSnapshot");
  did((await graph.batch((batch) => void batch.createNode(node), about("batch"))).lsn, "batch");
  did((await graph.deleteEdge(edge.id, about("deleteEdge"))).lsn, "deleteEdge");
  did((await graph.retractEdge(edge.id, about("retractEdge"))).lsn, "retractEdge");
  did((await graph.deleteNode(a.id, { detach: true, ...about("deleteNode") })).lsn, "deleteNode");
  did((await graph.retractNode(a.id, about("retractNode"))).lsn, "retractNode");
  did((await graph.purge({ recordedBefore: 0, ...about("purge") })).lsn, "purge");
  const all = async (of: typeof graph) => {
    for (const [lsn, expected] of said) assert.equal(await of.provenance(lsn), expected);
    assert.equal([await of.provenance(b.lsn), await of.provenance(b.lsn + 1000)], [null, null]);
  };
  await all(graph);
  const lineage = await graph.lineage("node", b.id);
  assert.equal([lineage.lsn, lineage.provenance], [b.lsn, null]);
  const made = await graph.lineage("node", a.id, { validAt: 5, recordedAt: { lsn: a.lsn } });
  assert.equal(made.provenance, about("createNode").provenance);
  assert.equal(made.event?.metadata, about("createNode"));
  await store.checkpoint();
  await store.close();
  rmSync(join(directory, "projections"), { recursive: true });
  await using again = await openStore(directory);
  await all(await again.graph());
  await using reader = await openReader(directory);
  await all(await reader.graph());
});

test("what is no provenance is refused, and nothing is written", async () => {
  await using store = await openStore(join(temporaryDirectory(), "store"));
  const graph = await store.graph();
  const isTypeError = (error: Error) => error instanceof TypeError;
  for (const provenance of [
    null,
    7,
    "ann",
    [],
    { who: "ann" },
    { actor: 7 },
    { note: "" },
    { note: "\ud800" },
    { source: "x".repeat(4097) },
  ]) {
    await rejects(graph.createNode({ ...node, provenance } as never), isTypeError);
    await rejects(
      graph.batch((batch) => void batch.createNode(node), { provenance } as object),
      isTypeError,
    );
    await rejects(
      graph.addConstraint({ kind: "unique", label: "P", property: "k" }, { provenance } as object),
      isTypeError,
    );
  }
  await rejects(graph.provenance(0), isTypeError);
  await rejects(graph.provenance(1.5), isTypeError);
  assert.is(await store.streamVersion("graph"), 0);
});

test("metadata of others are anybody's: what is none of it is null", async () => {
  await using store = await openStore(join(temporaryDirectory(), "store"));
  const graph = await store.graph();
  const lsns: number[] = [];
  for (const metadata of [
    { by: "ann" },
    { provenance: 7 },
    { provenance: { actor: 7 } },
    { provenance: { actor: "ann", more: 1 } },
  ])
    lsns.push((await store.append("other", { type: "Other", data: {}, metadata })).lsn);
  assert.equal(await Promise.all(lsns.map((lsn) => graph.provenance(lsn))), [null, null, null, { actor: "ann" }]);
});
