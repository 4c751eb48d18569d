/** Events of a subject: encrypted under its own key, readable until it is forgotten, and by nobody afterwards. */

import { join } from "node:path";
import { openReader, openStore, type Store } from "../../src/index.js";
import { keyOf } from "../encryption/support.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("privacy/forget");
let directory = "";
let subjectKeys = "";
test.beforeEach(() => {
  const base = temporaryDirectory();
  directory = join(base, "store");
  subjectKeys = join(base, "subjects");
});

function opened(): Promise<Store> {
  return openStore(directory, { encryption: { key: keyOf(1), subjectKeys } });
}

test("what is appended of a subject reads as it was until it is forgotten, and then as forgotten", async () => {
  const store = await opened();
  await store.append("a", {
    type: "Said",
    data: { text: "hello" },
    metadata: { by: "ann" },
    subject: "ann",
    id: "e-1",
  });
  await store.append("a", { type: "Said", data: { text: "others" } });
  await store.append("a", { type: "Said", data: { text: "again" }, subject: "ann" });
  const read = async (from: Pick<Store, "readStream">) => {
    const seen: unknown[] = [];
    for await (const { data, metadata, version, forgotten, id, payload } of from.readStream("a")) {
      seen.push([version, data, metadata, forgotten, version === 1 ? id : "", payload.length > 0]);
    }
    return seen;
  };
  const before = [
    [1, { text: "hello" }, { by: "ann" }, false, "e-1", true],
    [2, { text: "others" }, {}, false, "", true],
    [3, { text: "again" }, {}, false, "", true],
  ];
  assert.equal(await read(store), before);
  const reader = await openReader(directory, { encryption: { key: keyOf(1), subjectKeys } });
  assert.equal(await read(reader), before);
  const attestation = await store.forget("ann");
  assert.is(attestation.keyIds.length, 1);
  const after = [[1, undefined, {}, true, "e-1", false], before[1], [3, undefined, {}, true, "", false]];
  assert.equal(await read(store), after);
  assert.equal(await read(reader), after);
  assert.equal(await store.forget("ann"), attestation);
  await store.append("a", { type: "Said", data: { text: "back" }, subject: "ann" });
  const returned = [4, { text: "back" }, {}, false, "", true];
  assert.equal(await read(store), [...after, returned]);
  await reader.close();
  await store.close();
  const again = await opened();
  assert.equal(await read(again), [...after, returned]);
  await again.close();
});
