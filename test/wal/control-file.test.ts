import { openSync, writeSync } from "node:fs";
import { isStoreError } from "../../src/errors.js";
import { ControlFile } from "../../src/wal/control-file.js";
import { SLOT_COUNT_MAX, WORD } from "../../src/wal/control-layout.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("wal/control-file");
const STORE_ID = Buffer.alloc(16, 7);

function controlWith(word: number, value: number): string {
  const directory = temporaryDirectory();
  const start = { storeId: STORE_ID, incarnation: 1, durableLsn: 5, lastRecordedAt: 0, slotCount: SLOT_COUNT_MAX };
  ControlFile.create(directory, start).close();
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  writeSync(openSync(ControlFile.path(directory), "r+"), bytes, 0, 4, word * 4);
  return directory;
}

// Found by the corruption fuzz: a reader that looked at all lanes ran out of the file with an error that had no code.
test("a control file that counts more slots than it has is refused, and so is one of less than none", () => {
  for (const attached of [SLOT_COUNT_MAX + 1, 0x4000_0000, -1]) {
    const directory = controlWith(WORD.attached, attached);
    assert.throws(
      () => ControlFile.open(directory, STORE_ID, "read"),
      (error: unknown) =>
        isStoreError(error, "ERR_WAL_CORRUPT") && error.details["path"] === ControlFile.path(directory),
    );
  }
  const whole = ControlFile.open(controlWith(WORD.attached, SLOT_COUNT_MAX), STORE_ID, "read");
  assert.is(whole.lanes.watermark(), 5);
  whole.close();
});
