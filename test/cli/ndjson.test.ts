import { type NdjsonLine, readNdjson } from "../../src/cli/ndjson.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("cli/ndjson");

async function* chunksOf(...chunks: readonly (string | Buffer)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

async function readLines(chunks: AsyncIterable<Uint8Array>): Promise<NdjsonLine[]> {
  const lines: NdjsonLine[] = [];
  for await (const some of readNdjson(chunks)) lines.push(...some);
  return lines;
}

test("reads the same lines however the text is cut", async () => {
  const text = Buffer.from('\uFEFF{"a":"ü"}\n\n  \n[1]\r\n"日本"\nnull');
  const expected = [
    { number: 1, value: { a: "ü" } },
    { number: 4, value: [1] },
    { number: 5, value: "日本" },
    { number: 6, value: null },
  ];
  for (let cut = 0; cut <= text.length; cut += 1) {
    assert.equal(await readLines(chunksOf(text.subarray(0, cut), text.subarray(cut))), expected, `cut at ${cut}`);
  }
  assert.equal(await readLines(chunksOf(...Array.from(text, (byte) => Buffer.from([byte])))), expected);
  assert.equal(await readLines(chunksOf()), []);
});

test("names the line that is wrong, after giving those before it", async () => {
  for (const [text, number] of [
    ["1\n2\n{bad\n4\n", 3],
    ["1\n\n2\n\n{", 5],
  ] as const) {
    const seen: number[] = [];
    const error = await rejects(async () => {
      for await (const lines of readNdjson(chunksOf(text))) seen.push(...lines.map(({ value }) => Number(value)));
    }, "ERR_IMPORT_SOURCE");
    assert.match(error.message, `line ${number} is not JSON`);
    assert.equal(seen, [1, 2]);
  }
});

test("refuses a line that is not UTF-8 instead of changing it", async () => {
  const error = await rejects(readLines(chunksOf(Buffer.from('"a"\n"\xff"\n', "latin1"))), "ERR_IMPORT_SOURCE");
  assert.match(error.message, "line 2 is not UTF-8");
});

test("refuses a line without end before it fills the memory", async () => {
  const piece = Buffer.alloc(8 * 1024 * 1024, 0x20);
  let given = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (; given < 100; given += 1) yield piece;
  }
  await rejects(readLines(endless()), "ERR_IMPORT_SOURCE");
  assert.ok(given < 12, `${given} pieces were read`);
});
