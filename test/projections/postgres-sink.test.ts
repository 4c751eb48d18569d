/** A read model in PostgreSQL has every event exactly once: whoever is killed, the process that feeds it or the server. */

import { spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openStore, type Store } from "../../src/index.js";
import { assert, rejects } from "../support/assert.js";
import { PostgresServer, postgresProblem } from "../support/postgres-server.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { addedLsns, openPostgresSink } from "./children/postgres-sink.js";

const test = suite("projections/postgres-sink");

const KILLED = "killed at any moment, PostgreSQL has every event once";
const CRASHED = "a server that crashes and comes back has every event once; one that stays away fails the sink";
const TWO = "two that feed one database disturb nothing";
const problem = postgresProblem();

/** One for all tests, for making it takes longer than they do; each has a database of its own. */
let server: PostgresServer | null = null;
let testsLeft = [KILLED, CRASHED, TWO].length;

async function startedServer(): Promise<PostgresServer> {
  if (server === null) {
    server = new PostgresServer();
    await server.start();
  }
  return server;
}

test.afterEach(async () => {
  testsLeft -= 1;
  if (testsLeft === 0) await server?.remove();
});

async function lsnsOfAdded(store: Store): Promise<number[]> {
  const lsns: number[] = [];
  for await (const event of store.readAll()) if (event.type === "Added") lsns.push(event.lsn);
  return lsns;
}

const onReport = (): void => undefined;

if (problem !== null) for (const name of [KILLED, CRASHED, TWO]) test.skip(name, problem);
else {
  test(KILLED, async () => {
    const address = (await startedServer()).makeDatabase("killed");
    const directory = join(temporaryDirectory(), "store");
    const child = fileURLToPath(new URL("./children/postgres-sink-process.js", import.meta.url));
    for (const afterMs of [5, 130, 61]) {
      const parameters = [child, directory, JSON.stringify(address)];
      const running = spawn(process.execPath, parameters, { stdio: ["ignore", "pipe", "inherit"] });
      const exit = new Promise<void>((resolve) => running.once("exit", () => resolve()));
      await new Promise((resolve) => running.stdout.once("data", resolve));
      await delay(afterMs);
      running.kill("SIGKILL");
      await exit;
    }
    const store = await openStore(directory);
    const { sink, pool } = await openPostgresSink(address);
    const runner = await store.sink(sink);
    await store.append("numbers", { type: "Added", data: { value: 3 } });
    await runner.whenCaughtUp();
    const expected = await lsnsOfAdded(store);
    assert.ok(expected.length > 50, `${expected.length} events`);
    assert.equal(await addedLsns(pool), expected);
    await store.close();
    await pool.end();
  });

  test(CRASHED, async () => {
    const server = await startedServer();
    const store = await openStore(join(temporaryDirectory(), "store"));
    const { sink, pool } = await openPostgresSink(server.makeDatabase("crashed"));
    let failures = 0;
    const counted = { batchEvents: 3, maxAttempts: 50, onReport: () => (failures += 1) };
    const runner = await store.sink(sink, counted);
    let isDone = false;
    const appending = (async () => {
      for (let value = 0; !isDone; value += 1) {
        await store.append("numbers", { type: "Added", data: { value } });
        await delay(1);
      }
    })();
    for (let crashes = 0; crashes < 3; crashes += 1) {
      await runner.whenProcessed(store.watermark + 20);
      await server.crash();
      await server.start();
    }
    isDone = true;
    await appending;
    await runner.whenCaughtUp();
    assert.ok(failures > 0);
    assert.equal(await addedLsns(pool), await lsnsOfAdded(store));
    await runner.close();

    const impatient = await store.sink(sink, { maxAttempts: 2, onReport });
    await server.crash();
    await store.append("numbers", { type: "Added", data: { value: 0 } });
    await rejects(impatient.whenCaughtUp(), "ERR_PROJECTION_FAILED");
    await impatient.close();
    await server.start();
    const again = await store.sink(sink, { onReport });
    await again.whenCaughtUp();
    assert.equal(await addedLsns(pool), await lsnsOfAdded(store));
    await store.close();
    await pool.end();
  });

  test(TWO, async () => {
    const address = (await startedServer()).makeDatabase("two");
    const directory = join(temporaryDirectory(), "store");
    const stores = [await openStore(directory), await openStore(directory)] as const;
    const sinks = [await openPostgresSink(address), await openPostgresSink(address)] as const;
    const options = { batchEvents: 3, maxAttempts: 50, onReport };
    const runners = [await stores[0].sink(sinks[0].sink, options), await stores[1].sink(sinks[1].sink, options)];
    for (let count = 0; count < 40; count += 1) {
      await stores[count % 2 === 0 ? 0 : 1].append("numbers", { type: "Added", data: { value: count } });
    }
    const { watermark } = stores[0];
    await Promise.all(runners.map((runner) => runner.whenProcessed(watermark)));
    assert.equal(await addedLsns(sinks[0].pool), await lsnsOfAdded(stores[0]));
    for (const store of stores) await store.close();
    for (const { pool } of sinks) await pool.end();
  });
}
