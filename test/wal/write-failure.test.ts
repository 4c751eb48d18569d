import { StoreError } from "../../src/errors.js";
import { errnoName } from "../../src/ffi/errno.js";
import { asStoreError, isLackOfSpace, openingFailed, withCode } from "../../src/wal/write-failure.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("wal/write-failure");

/** As node:fs throws it. */
function thrown(code: string, errno: number): Error {
  return Object.assign(new Error(`${code}: open`), { code, errno, syscall: "open" });
}

test("a full quota is a lack of space, though libuv has no name for it", () => {
  assert.is(errnoName(-122), "EDQUOT");
  const error = asStoreError(thrown("Unknown system error -122", -122));
  assert.is(error.details["errno"], "EDQUOT");
  assert.ok(isLackOfSpace(error));
  assert.not.ok(isLackOfSpace(asStoreError(thrown("EIO", -5))));
});

test("opening fails with ERR_WAL_FULL for want of space, with ERR_IO_FAILED otherwise, and with what is no error of the system as it is", () => {
  const codeOf = (error: unknown): string => (openingFailed(error) as StoreError).code;
  assert.is(codeOf(thrown("ENOSPC", -28)), "ERR_WAL_FULL");
  assert.is(codeOf(thrown("EMFILE", -24)), "ERR_IO_FAILED");
  assert.is(codeOf(new StoreError("ERR_STORE_BUSY", "busy")), "ERR_STORE_BUSY");
  const mistake = new TypeError("a mistake");
  assert.is(openingFailed(mistake), mistake);
  assert.is(withCode(mistake), mistake);
});
