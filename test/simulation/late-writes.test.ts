import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { runLateWrite } from "./late-writes.js";
import { loadStores } from "./world.js";

const test = suite("simulation/late-writes");
const STEP_US = 50;
const LAST_US = 6000;

test(
  "an opening waits for the write of a killed writer, whenever it lands, and nobody sees two events at one LSN",
  async () => {
    await loadStores();
    let seen = 0;
    for (let landUs = 0; landUs <= LAST_US; landUs += STEP_US) {
      const report = await runLateWrite(1 + landUs, landUs);
      assert.ok(report.landedFirst && report.isKept, `landed after ${landUs} µs: ${JSON.stringify(report)}`);
      seen += report.seen;
    }
    assert.ok(seen >= (3 * LAST_US) / STEP_US, `the readers saw ${seen} events`);
  },
  { timeoutMs: 120_000 },
);

test(
  "a takeover waits for the write of a killed writer, whenever it lands, and what it wrote is kept",
  async () => {
    await loadStores();
    for (let landUs = 0; landUs <= LAST_US; landUs += 4 * STEP_US) {
      const report = await runLateWrite(1 + landUs, landUs, true);
      assert.ok(report.landedFirst && report.isKept, `landed after ${landUs} µs: ${JSON.stringify(report)}`);
    }
  },
  { timeoutMs: 120_000 },
);
