import { isStoreError, STORE_ERROR_CODES, StoreError } from "../src/errors.js";
import { assert } from "./support/assert.js";
import { suite } from "./support/suite.js";

const test = suite("errors");

test("a store error carries its code, its facts and its cause", () => {
  const cause = new Error("disk");
  const error = new StoreError("ERR_WAL_FULL", "no space for segment 7", { segment: 7 }, { cause });
  assert.is(error.name, "StoreError");
  assert.is(error.code, "ERR_WAL_FULL");
  assert.equal(error.details, { segment: 7 });
  assert.is(error.cause, cause);
});

test("the guard knows store errors, and tells codes apart", () => {
  const error = new StoreError("ERR_WAL_FULL", "full");
  assert.ok(isStoreError(error));
  assert.ok(isStoreError(error, "ERR_WAL_FULL"));
  assert.not(isStoreError(error, "ERR_WAL_FAILED"));
  assert.not(isStoreError(Object.assign(new Error("full"), { code: "ERR_WAL_FULL" })));
  assert.not(isStoreError({ code: "ERR_WAL_FULL" }));
  assert.not(isStoreError(null));
});

test("the guard also knows the errors of a second copy of the package", async () => {
  const copyUrl = `${new URL("../src/errors.js", import.meta.url).href}?copy`;
  const copy = (await import(copyUrl)) as typeof import("../src/errors.js");
  assert.is.not(copy.StoreError, StoreError);
  assert.ok(isStoreError(new copy.StoreError("ERR_WAL_FULL", "full"), "ERR_WAL_FULL"));
});

test("every code names its layer and has a sentence", () => {
  for (const [code, sentence] of Object.entries(STORE_ERROR_CODES)) {
    assert.match(code, /^ERR_[A-Z]+_[A-Z_]+$/);
    assert.ok(sentence.length > 10, code);
  }
});
