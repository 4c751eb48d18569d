/** The graph against the naive model: `npm run model -- --histories 10000 --seed 1`. Exit code 1 when they differ anywhere. */

import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { runLineage } from "./lineage-run.js";
import { runHistory, stepsOf } from "./model-run.js";
import { findingOf } from "./shrunk.js";
import { runStoreHistory } from "./store-history.js";

const HELP = `npm run model -- [--histories N] [--seed N] [--history N] [--stores N]

Random histories of graph events, put to the graph and to a naive model that keeps all events in a list and answers by one
sentence: the assertion with the greatest LSN among those recorded at or before r whose valid period contains v. Every
query of the graph is compared at the bounds of all periods and beside them.

  --histories N  how many (1000)
  --seed N       from which they follow (a random one, which is printed)
  --history N    only this one of them
  --stores N     how many more go through a store on disk that is checkpointed, closed and opened again (5)

A history in which the two differ is made smaller while they still do, and printed; the exit code is then 1.`;

const { values } = parseArgs({
  options: {
    help: { type: "boolean", default: false },
    histories: { type: "string", default: "1000" },
    seed: { type: "string", default: `${randomInt(2 ** 31)}` },
    history: { type: "string" },
    stores: { type: "string", default: "5" },
  },
});

function count(name: "histories" | "seed" | "history" | "stores"): number {
  const value = Number(values[name]);
  if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`--${name} takes a count, not "${values[name]}"`);
  return value;
}

async function main(): Promise<void> {
  const seed = count("seed");
  const isOne = values.history !== undefined;
  const first = isOne ? count("history") : 0;
  const end = isOne ? first + 1 : count("histories");
  const stores = isOne ? 0 : count("stores");
  const startedMs = performance.now();
  const done = { events: 0, compared: 0 };
  for (let number = first; number < end; number += 1) {
    const steps = stepsOf(seed, number);
    try {
      done.compared += runHistory(steps, seed);
    } catch (error) {
      const { message, history } = findingOf(steps, seed) ?? { message: String(error), history: "(not by itself)" };
      console.log(
        `history ${number} of seed ${seed} differs (--seed ${seed} --history ${number}):\n${message}\n${history}`,
      );
      process.exitCode = 1;
      return;
    }
    try {
      done.compared += await runLineage(steps, seed);
    } catch (error) {
      console.log(`history ${number} of seed ${seed} differs in its lineage:\n${(error as Error).stack}`);
      process.exitCode = 1;
      return;
    }
    done.events += steps.length;
    if (process.stderr.isTTY && number % 100 === 0) process.stderr.write(`\r${number} histories`);
  }
  for (let number = 0; number < stores; number += 1) {
    try {
      const { events, compared } = await runStoreHistory(seed, number);
      done.events += events;
      done.compared += compared;
    } catch (error) {
      console.log(`history ${number} of seed ${seed} in a store differs:\n${(error as Error).stack}`);
      process.exitCode = 1;
      return;
    }
  }
  const seconds = (performance.now() - startedMs) / 1000;
  const histories = end - first;
  console.log(
    `seed ${seed}: ${histories} histories and ${stores} in stores, ${done.events} events, ` +
      `${done.compared} answers compared in ${seconds.toFixed(1)} s: all equal`,
  );
}

if (values.help) console.log(HELP);
else await main();
