/** The graph of a store that is only read. */

import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { openReader, openStore, type StoreError } from "../../../src/index.js";
import { assert, rejects } from "../../support/assert.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

const test = suite("projections/graph/start-graph");
const BLOCK = 4096;
/** After this a writer has told what is durable. */
const ATTESTED_MS = 400;
const NODE = { label: "Person", properties: {}, validFrom: 0 };

test("behind damage the graph of a reader fails, names the place to who waits, and answers from what came before", async () => {
  const live = temporaryDirectory();
  const store = await openStore(live, { segmentBytes: 64 * 1024 });
  const writing = await store.graph();
  const first = await writing.createNode(NODE);
  await delay(ATTESTED_MS);
  const directory = join(temporaryDirectory(), "copy");
  // What a crash leaves: without what the living share.
  cpSync(live, directory, { recursive: true, filter: (path) => !/\/(control|heads)/.test(path) });
  const second = await writing.createNode(NODE);
  await writing.createNode(NODE);
  await delay(ATTESTED_MS);
  const [segment] = readdirSync(join(live, "wal", "core-000")).filter((file) => file.endsWith(".wal"));
  const bytes = readFileSync(join(live, "wal", "core-000", segment as string));
  await store.close();
  const reader = await openReader(directory);
  const graph = await reader.graph();
  const waiting = rejects(graph.whenApplied(second.lsn), "ERR_PROJECTION_FAILED");
  const path = join(directory, "wal", "core-000", segment as string);
  const before = readFileSync(path);
  const from = Array.from({ length: bytes.length / BLOCK }, (_, block) => block * BLOCK).find(
    (offset) => !before.subarray(offset, offset + BLOCK).equals(bytes.subarray(offset, offset + BLOCK)),
  );
  bytes.fill(0x77, (from as number) + 100, (from as number) + 110);
  writeFileSync(path, bytes);
  const cause = (await waiting).cause as StoreError;
  assert.equal([cause.code, cause.details["path"], cause.details["offset"]], ["ERR_WAL_CORRUPT", path, from]);
  assert.is(cause.details["firstLostLsn"], second.lsn);
  assert.ok(graph.current().node(first.id) !== undefined);
  await rejects(graph.whenApplied(second.lsn), "ERR_PROJECTION_FAILED");
  await reader.close();
});
