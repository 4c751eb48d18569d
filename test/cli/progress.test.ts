import { Writable } from "node:stream";
import { startProgress } from "../../src/cli/progress.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("cli/progress");

function terminal(facts: { isTTY: boolean; columns?: number }): { stream: NodeJS.WriteStream; text: () => string } {
  let text = "";
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      text += chunk.toString();
      done();
    },
  });
  const tty = { cursorTo: () => true, clearLine: () => true, moveCursor: () => true, rows: 24, ...facts };
  return { stream: Object.assign(stream, tty) as unknown as NodeJS.WriteStream, text: () => text };
}

const later = () => new Promise((resolve) => setTimeout(resolve, 150));

test("draws on a terminal, and makes the text only when it is shown", async () => {
  const { stream, text } = terminal({ isTTY: true, columns: 80 });
  const progress = startProgress(stream, "starting");
  let made = 0;
  for (let round = 0; round < 1_000; round += 1) progress.update(() => `made ${++made}`);
  await later();
  progress.update(() => `half ${++made}`);
  await later();
  progress.stop();
  assert.match(text(), "starting");
  assert.match(text(), "half");
  assert.ok(made <= 3, `${made} texts were made`);
});

test("says nothing where there is no terminal, or one without a width", async () => {
  for (const facts of [{ isTTY: false, columns: 80 }, { isTTY: true, columns: 0 }, { isTTY: true }]) {
    const { stream, text } = terminal(facts);
    const progress = startProgress(stream, "starting");
    await later();
    progress.update(() => "half");
    progress.stop();
    assert.is(text(), "");
  }
});
