import { WireReader, WireWriter } from "../../../src/projections/graph/wire.js";
import { assert } from "../../support/assert.js";
import { suite } from "../../support/suite.js";

const test = suite("projections/graph/wire");

test("what is written is kept wherever the writer's memory ends", () => {
  // It has 256 bytes at first, and twice as many each time.
  for (let before = 200; before < 600; before += 1) {
    for (const text of ["", "a", "four", "ü", "x".repeat(126), "y".repeat(200)]) {
      const writer = new WireWriter();
      for (let index = 0; index < before; index += 1) writer.byte(7);
      const outer = writer.beginMessage();
      writer.text(text);
      writer.endMessage(outer);
      const bytes = writer.finish();
      const reader = new WireReader();
      reader.open(bytes, before, bytes.length);
      const length = reader.length();
      const what = `${JSON.stringify(text)} behind ${before} bytes`;
      assert.is(length, bytes.length - reader.at, what);
      const textLength = reader.length();
      assert.is(Buffer.from(bytes.subarray(reader.at, reader.at + textLength)).toString(), text, what);
      assert.is(reader.at + textLength, bytes.length, what);
      assert.ok(
        bytes.subarray(0, before).every((byte) => byte === 7),
        what,
      );
    }
  }
});
