import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { BufferPool } from "../../src/ffi/aligned-buffer.js";
import { openIo } from "../../src/ffi/open-io.js";
import { SegmentCatalog } from "../../src/wal/segment-catalog.js";
import { SegmentFiles } from "../../src/wal/segment-files.js";
import { type CoreFiles, coreDirectory, segmentPath } from "../../src/wal/segment-name.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("wal/segment-catalog");

test("a listing that was begun earlier and ends later does not undo one that is newer", async () => {
  const directory = temporaryDirectory();
  const probe = join(directory, "lock");
  writeFileSync(probe, "");
  const io = openIo("buffered", probe);
  const pool = new BufferPool(4096, 1);
  const door = { files: new SegmentFiles(io), pool, checkOpen: () => {}, started: () => {}, ended: () => {} };
  const answers: ((files: CoreFiles[]) => void)[] = [];
  const list = (): Promise<CoreFiles[]> => new Promise((resolve) => answers.push(resolve));
  const catalog = new SegmentCatalog(directory, door, [], list);
  const folder = coreDirectory(directory, 0);
  const filesThrough = (count: number): CoreFiles[] => {
    const segments = Array.from({ length: count }, (_, index) => index + 1).map((segment) => {
      return { segment, path: segmentPath(folder, segment) };
    });
    return [{ core: 0, directory: folder, segments }];
  };
  const listings = [catalog.list(), catalog.list(), catalog.list()];
  for (const [which, count] of [
    [1, 2],
    [0, 1],
    [2, 3],
  ] as const) {
    answers[which]?.(filesThrough(count));
    await listings[which];
    assert.is(catalog.between(0, 1, 9).length, Math.max(2, count));
  }
  await io.close();
  pool.close();
});
