import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openIo } from "../../src/ffi/index.js";
import type { Attachment } from "../../src/wal/attachment.js";
import { nextSegment } from "../../src/wal/next-segment.js";
import { coreDirectory, segmentPath } from "../../src/wal/segment-name.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("wal/next-segment");
const ATTACHED = { manifest: { incarnations: [] }, owner: { core: 0 } } as unknown as Attachment;

test("a segment that a checkpoint drops while it is looked at counts as one that was", async () => {
  const directory = temporaryDirectory();
  const core = coreDirectory(directory, 0);
  mkdirSync(core, { recursive: true });
  writeFileSync(join(directory, "probe"), "");
  // Listed, and not there when it is opened.
  symlinkSync("dropped", segmentPath(core, 7));
  const io = openIo("auto", join(directory, "probe"));
  try {
    assert.is(await nextSegment({ directory, io }, ATTACHED), 8);
  } finally {
    await io.close();
  }
});
