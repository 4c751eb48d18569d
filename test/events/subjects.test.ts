/** What opening a store makes the same, the log and the file of subject keys, and how it says that it could not. */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { StoreError, type StoreErrorCode } from "../../src/errors.js";
import type { RetentionFollower } from "../../src/events/retention-follower.js";
import { Subjects } from "../../src/events/subjects.js";
import { StoreKeys } from "../../src/wal/crypt/store-keys.js";
import { SubjectKeys } from "../../src/wal/subjects/subject-keys.js";
import { keyOf } from "../encryption/support.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("events/subjects");
const STORE_ID = Buffer.alloc(16, 9);

async function opened(base: string): Promise<SubjectKeys> {
  const masters = await StoreKeys.load({ key: keyOf(1) });
  masters.adopt(STORE_ID, masters.entered(STORE_ID, undefined));
  const [path, directory] = [join(base, "subjects"), join(base, "store")];
  mkdirSync(directory, { recursive: true });
  const place = { path, directory, storeId: STORE_ID, keys: masters, isWriting: true, isExpected: false };
  return SubjectKeys.open({ ...place, busyWaitMs: 50 });
}

/** What the log knows as forgotten. */
function follower(known: readonly string[]): RetentionFollower {
  const forgottenKeys = new Map(known.map((id) => [id, { lsn: 1, recordedAt: 1 }]));
  return { state: { forgottenKeys }, catchUp: async () => {} } as never;
}

test("what could not be logged when a store is opened is told as opening tells it, and the next one who opens it tries again", async () => {
  const base = temporaryDirectory();
  const first = await opened(base);
  await first.ensureKey("ann");
  const [id] = await first.destroySubject("ann");
  await first.close();
  const cause = new StoreError("ERR_IO_FAILED", "a write of core 1 failed", { core: 1 });
  for (const [code, expected] of [
    ["ERR_WAL_BUSY", "ERR_STORE_BUSY"],
    ["ERR_WAL_OUTCOME_UNKNOWN", "ERR_IO_FAILED"],
    ["ERR_WAL_FAILED", "ERR_WAL_FAILED"],
    ["ERR_WAL_FULL", "ERR_WAL_FULL"],
  ] as const satisfies readonly (readonly [StoreErrorCode, StoreErrorCode])[]) {
    const keys = await opened(base);
    const append = (): Promise<never> =>
      Promise.reject(new StoreError(code, "core 1 does not go on", { core: 1 }, { cause }));
    const subjects = new Subjects({ keys, follower: follower([]), watermark: () => 0, append });
    const error = (await rejects(subjects.begin(), expected)) as StoreError;
    assert.is(error.details["core"], 1);
    await keys.close();
  }
  const logged: unknown[] = [];
  const keys = await opened(base);
  const append = async (event: unknown) => {
    logged.push(event);
    return { lsn: 1 } as never;
  };
  await new Subjects({ keys, follower: follower([]), watermark: () => 0, append }).begin();
  assert.equal(logged, [{ type: "varve.v1.SubjectForgotten", data: { keyIds: [id] } }]);
  await new Subjects({ keys, follower: follower([id as string]), watermark: () => 0, append }).begin();
  assert.is(logged.length, 1);
  await keys.close();
});
