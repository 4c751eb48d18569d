import { channel } from "node:diagnostics_channel";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { NonceBook } from "./nonce-book.js";

const test = suite("simulation/nonce-book");

test("a pair that is used twice is found out, and a nonce with two keys is none", () => {
  const book = new NonceBook();
  book.add("key 1", "00");
  book.add("key 1", "01");
  book.add("key 2", "00");
  book.check();
  assert.is(book.count, 3);
  assert.is(book.keyCount, 2);
  book.add("key 1", "01");
  assert.throws(() => book.check(), /used twice: key 1 01/);
});

test("a book hears what is told from when it is opened until the next one is", () => {
  const [first, second] = [new NonceBook(), new NonceBook()];
  const tell = (nonce: string): void => channel("varve:nonce").publish({ keyFingerprint: "key", nonce });
  first.open();
  tell("00");
  second.open();
  tell("00");
  assert.equal([first.count, second.count], [1, 1]);
  first.check();
  second.check();
});
