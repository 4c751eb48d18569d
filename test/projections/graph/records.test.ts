import { Int32Column } from "../../../src/projections/graph/column.js";
import { Records } from "../../../src/projections/graph/records.js";
import { assert } from "../../support/assert.js";
import { suite } from "../../support/suite.js";

const test = suite("projections/graph/records");

// Beyond the first chunks of both: 16,384 records, 65,536 rows of a column.
const ROWS = 150_000;

function copied(table: Records | Int32Column): Uint8Array {
  return Buffer.concat([...table.bytes()]);
}

test("keeps every field of every record while growing over several chunks, and gives them back from bytes", () => {
  const records = new Records(24);
  for (let row = 1; row < ROWS; row += 1) {
    assert.is(records.add(), row);
    records.setDouble(row, 0, row * 1.5);
    records.setInt(row, 2, -row);
    records.setInt(row, 5, row % 7);
  }
  const restored = new Records(24);
  const bytes = copied(records);
  let at = 0;
  for (const part of restored.restore(records.length)) {
    part.set(bytes.subarray(at, at + part.length));
    at += part.length;
  }
  assert.is(at, bytes.length);
  for (const table of [records, restored]) {
    assert.is(table.length, ROWS);
    assert.equal([table.double(0, 0), table.int(0, 2), table.int(0, 5)], [0, 0, 0]);
    for (let row = 1; row < ROWS; row += 1) {
      const sound = table.double(row, 0) === row * 1.5 && table.int(row, 2) === -row && table.int(row, 5) === row % 7;
      assert.ok(sound && table.int(row, 3) === 0 && table.int(row, 4) === 0, `row ${row}`);
    }
  }
  assert.is(restored.add(), ROWS);
});

test("finds the chunk and the place of a row as the single fields do", () => {
  const records = new Records(16);
  while (records.length < 40_000) records.add();
  for (const row of [1, 16_383, 16_384, 39_999]) {
    records.doubles(row)[records.offset(row) + 1] = row;
    records.ints(row)[records.offset(row) * 2] = -row;
    assert.equal([records.double(row, 1), records.int(row, 0)], [row, -row]);
  }
});

test("a column keeps its numbers over several chunks, and gives them back from bytes", () => {
  const column = new Int32Column();
  for (let row = 0; row < ROWS; row += 1) column.push(row ^ 0x55);
  const restored = new Int32Column();
  const bytes = copied(column);
  let at = 0;
  for (const part of restored.restore(ROWS)) {
    part.set(bytes.subarray(at, at + part.length));
    at += part.length;
  }
  for (let row = 0; row < ROWS; row += 1)
    assert.ok(restored.get(row) === (row ^ 0x55) && column.get(row) === (row ^ 0x55));
});

for (const count of [2 ** 16 - 1, 2 ** 16, 2 ** 17 + 5]) {
  test(`${count} rows come back from their bytes, and more may be added and be zero`, () => {
    const saved = new Records(16);
    while (saved.length < count) saved.setDouble(saved.add(), 1, saved.length * 3);
    const restored = new Records(16);
    const pieces = [...saved.bytes()];
    for (const [index, target] of [...restored.restore(count)].entries()) target.set(pieces[index] as Uint8Array);
    for (let row = 0; row < count; row += 1) {
      if (restored.double(row, 1) !== saved.double(row, 1)) assert.unreachable(`row ${row}`);
    }
    for (let added = 0; added < 70_000; added += 1) {
      if (restored.double(restored.add(), 1) !== 0) assert.unreachable(`added row ${added}`);
    }
  });
}
