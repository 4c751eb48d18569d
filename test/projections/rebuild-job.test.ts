/** Rebuilds elsewhere: in a thread, in a process of its own that is killed, and going over to what they leave. */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openStore, type ProjectionReport, rebuildProjection, type Store } from "../../src/index.js";
import { CLI_PATH, runCli, runFailing, runJson } from "../cli/support/run-cli.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { once, others, tenfold } from "./children/number-sum.js";

const test = suite("projections/rebuild-job");
const MODULE = new URL("./children/number-sum.js", import.meta.url);
const MODULE_PATH = fileURLToPath(MODULE);
const onReport = (): void => undefined;

/** A store with so many events of 1, and the sum of them saved by version 1. */
async function filledStore(count: number): Promise<Store> {
  const store = await openStore(join(temporaryDirectory(), "store"));
  const events = Array.from({ length: 500 }, () => ({ type: "Added", data: { value: 1 } }));
  for (let appended = 0; appended < count; appended += 500) await store.append("numbers", events);
  return store;
}

const filesOf = (store: { readonly directory: string }, name = "sum"): string[] =>
  readdirSync(join(store.directory, "projections", name)).filter((file) => file.startsWith("v"));

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(10);
}

test("in a thread: the former state serves and follows, then the new one takes over", async () => {
  const store = await filledStore(5000);
  const running = await store.project(once, { rebuildIn: { module: MODULE }, onReport });
  await running.whenCaughtUp();
  running.state.sum += 7; // a state that is not to be trusted any more
  const progress: number[] = [];
  const rebuilding = running.rebuild({ onProgress: ({ lsn }) => progress.push(lsn) });
  await rejects(running.rebuild(), "ERR_PROJECTION_REBUILDING");
  const { lsn } = await store.append("numbers", { type: "Added", data: { value: 1 } });
  await running.whenProcessed(lsn);
  assert.is(running.state.sum, 5008);
  const report = await rebuilding;
  assert.is(report.fromLsn, 0);
  await running.whenCaughtUp();
  assert.is(running.state.sum, 5001);
  assert.ok(progress.length > 0);
  assert.equal(filesOf(store), ["v1.checkpoint"]);
  await store.close();
});

test("a version that is new is built in the thread from the start, while the one before serves", async () => {
  const store = await filledStore(5000);
  const before = await store.project(once);
  await before.whenCaughtUp();
  await before.close();
  const reports: ProjectionReport[] = [];
  const running = await store.project(tenfold, {
    previous: once,
    rebuildIn: { module: MODULE },
    onReport: (report) => reports.push(report),
  });
  assert.is(running.version, 1);
  await running.whenCaughtUp();
  assert.is(running.version, 2);
  assert.is(running.state.sum, 50_000);
  await until(() => reports.length > 0);
  for (const report of reports) if (report.kind === "rebuild-failed") throw report.error;
  await until(() => filesOf(store).length === 1);
  assert.equal(filesOf(store), ["v2.checkpoint"]);
  await store.close();
});

test("a version that is new waits for a job that is killed and gone on with, while the one before serves and follows", async () => {
  const store = await filledStore(5000);
  const before = await store.project(once);
  await before.whenCaughtUp();
  await before.close();
  const running = await store.project(tenfold, { previous: once, rebuildIn: "job", onReport });
  const aborting = new AbortController();
  const interrupted = rebuildProjection(store.directory, tenfold, {
    ...{ signal: aborting.signal, keepOnAbort: true, maxEventsPerSecond: 5000, checkpointEveryEvents: 500 },
  });
  await until(() => existsSync(join(store.directory, "projections", "sum", "v2.rebuild")));
  aborting.abort(new Error("enough"));
  await rejects(interrupted, ({ message }) => message === "enough");
  const { lsn } = await store.append("numbers", { type: "Added", data: { value: 1 } });
  await running.whenProcessed(lsn);
  assert.equal([running.version, running.state.sum], [1, 5001]);
  await rejects(running.whenCaughtUp({ timeoutMs: 20 }), "ERR_PROJECTION_TIMEOUT");
  const { fromLsn } = await rebuildProjection(store.directory, tenfold);
  assert.ok(fromLsn >= 500, `${fromLsn}`);
  await running.whenCaughtUp();
  assert.equal([running.version, running.state.sum], [2, 50_010]);
  await until(() => filesOf(store).length === 1);
  assert.equal(filesOf(store), ["v2.checkpoint"]);
  await store.close();
});

test("one that waits for a job can be closed, or rebuilt here after all; a short log is folded here", async () => {
  const store = await filledStore(5000);
  const options = { rebuildIn: "job", onReport } as const;
  const waiting = await store.project(once, options);
  assert.is(waiting.state.sum, 0);
  await waiting.close();
  assert.not.ok(existsSync(join(store.directory, "projections", "sum", "v1.checkpoint")));
  const running = await store.project(once, options);
  await running.rebuild();
  assert.is(running.state.sum, 5000);
  await store.close();
  const small = await filledStore(500);
  const short = await small.project(once, options);
  await short.whenCaughtUp();
  assert.is(short.state.sum, 500);
  await small.close();
});

test("of an empty store, here and elsewhere, and where its lock cannot be made", async () => {
  const store = await filledStore(0);
  const running = await store.project(once, { onReport });
  assert.is((await running.rebuild()).lsn, 0);
  assert.equal(filesOf(store), ["v1.checkpoint"]);
  assert.is((await rebuildProjection(store.directory, others)).lsn, 0);
  assert.equal(filesOf(store, "others"), ["v1.ready"]);
  const lock = join(store.directory, "projections", "others", "rebuild.lock");
  rmSync(lock);
  mkdirSync(lock);
  await rejects(rebuildProjection(store.directory, others), "ERR_IO_FAILED");
  await store.append("numbers", { type: "Added", data: { value: 1 } });
  await running.whenCaughtUp();
  assert.is(running.state.sum, 1);
  await store.close();
});

test("where the thread cannot do it, the loop does, and says why", async () => {
  const store = await filledStore(3000);
  const reports: ProjectionReport[] = [];
  const module = new URL("./children/no-projection.js", import.meta.url);
  const running = await store.project(once, { rebuildIn: { module }, onReport: (report) => reports.push(report) });
  await running.whenCaughtUp();
  assert.is(running.state.sum, 3000);
  const [first] = reports;
  assert.ok(first?.kind === "rebuild-failed");
  await rejects(running.rebuild(), "ERR_PROJECTION_MODULE");
  assert.is(running.status, "live");
  await store.close();
});

test("cancelled in a thread, nothing is left; closed, the next one goes on", async () => {
  const store = await filledStore(10_000);
  const options = { rebuildIn: { module: MODULE }, checkpointEveryEvents: 500, onReport };
  const running = await store.project(once, options);
  await running.whenCaughtUp();
  const aborting = new AbortController();
  const slowly = { maxEventsPerSecond: 5000 };
  const rebuildFile = join(store.directory, "projections", "sum", "v1.rebuild");
  const cancelled = running.rebuild({ ...slowly, signal: aborting.signal });
  await until(() => existsSync(rebuildFile));
  aborting.abort(new Error("enough"));
  await cancelled.then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, "enough"),
  );
  await running.checkpoint();
  assert.equal(filesOf(store), ["v1.checkpoint"]);

  const interrupted = rejects(running.rebuild(slowly), "ERR_PROJECTION_CLOSED");
  await until(() => existsSync(rebuildFile));
  await running.close();
  await interrupted;
  assert.equal(filesOf(store), ["v1.checkpoint", "v1.rebuild"]);
  const again = await store.project(once, options);
  const { fromLsn } = await again.rebuild();
  assert.ok(fromLsn >= 500, `${fromLsn}`);
  assert.is(again.state.sum, 10_000);
  await store.close();
});

test("a running store goes over to what another process has rebuilt, and appends go on", async () => {
  const store = await filledStore(4000);
  const reports: ProjectionReport[] = [];
  const running = await store.project(once, { onReport: (report) => reports.push(report) });
  await running.whenCaughtUp();
  running.state.sum += 7;
  const run = runCli(
    ["projection", "rebuild", "--module", MODULE_PATH, "--name", "others", "--store", store.directory, "--json"],
    { ownProcess: true },
  );
  const { exitCode, stdout } = await run;
  assert.is(exitCode, 0);
  assert.is((JSON.parse(stdout) as { lsn: number }).lsn, 4000);
  // Nobody runs that one: it waits, and a start begins at it.
  assert.equal(filesOf(store, "others"), ["v1.ready"]);
  const started = await store.project(others, { onReport });
  assert.is(started.recovery.from, "checkpoint");
  assert.is(started.recovery.lsn, 4000);
  await started.whenCaughtUp();
  await started.checkpoint();
  assert.equal(filesOf(store, "others"), ["v1.checkpoint"]);

  await rebuildProjection(store.directory, once);
  await store.append("numbers", { type: "Added", data: { value: 1 } });
  await until(() => reports.some((report) => report.kind === "rebuilt"));
  await running.whenCaughtUp();
  assert.is(running.state.sum, 4001);
  await until(() => filesOf(store).length === 1);
  assert.equal(filesOf(store), ["v1.checkpoint"]);
  await store.close();
});

test("a version that was rebuilt ahead is begun with, and the running one is not disturbed", async () => {
  const store = await filledStore(3000);
  const running = await store.project(once, { onReport });
  await running.whenCaughtUp();
  await rebuildProjection(store.directory, tenfold);
  await delay(700);
  assert.is(running.version, 1);
  await running.close();
  assert.equal(filesOf(store), ["v1.checkpoint", "v2.ready"]);
  const next = await store.project(tenfold, { previous: once, onReport });
  assert.is(next.recovery.from, "checkpoint");
  assert.is(next.recovery.lsn, 3000);
  await next.whenCaughtUp();
  assert.is(next.state.sum, 30_000);
  await next.close();
  assert.equal(filesOf(store), ["v2.checkpoint"]);
  await store.close();
});

test("a damaged state from elsewhere is reported, removed, and not gone over to", async () => {
  const store = await filledStore(1500);
  const reports: ProjectionReport[] = [];
  const running = await store.project(once, { onReport: (report) => reports.push(report) });
  await running.whenCaughtUp();
  await running.checkpoint();
  const ready = join(store.directory, "projections", "sum", "v1.ready");
  writeFileSync(ready, "damaged");
  await until(() => !existsSync(ready));
  assert.equal(
    reports.map((report) => report.kind),
    ["checkpoint-refused"],
  );
  assert.is(running.state.sum, 1500);
  await store.close();
});

/** Rebuilds in a process of its own, saving every 500 events and in no hurry. */
function slowRebuild(store: string, ...more: string[]): ChildProcess {
  const parameters = ["projection", "rebuild", "--module", MODULE_PATH, "--name", "others", "--store", store];
  const pace = ["--max-events-per-second", "4000", "--checkpoint-every", "500", "--json", ...more];
  return spawn(process.execPath, [CLI_PATH, ...parameters, ...pace], { stdio: "ignore" });
}

const ended = (child: ChildProcess): Promise<void> => new Promise((resolve) => child.once("exit", () => resolve()));

test("killed half way, the next one goes on from its last save; two at once are refused", async () => {
  const store = await filledStore(20_000);
  const rebuildFile = join(store.directory, "projections", "others", "v1.rebuild");
  const child = slowRebuild(store.directory);
  await until(() => existsSync(rebuildFile));
  const others2 = ["projection", "rebuild", "--module", MODULE_PATH, "--name", "others", "--store", store.directory];
  assert.is((await runFailing(others2)).code, "ERR_PROJECTION_REBUILDING");
  const [listed] = await runJson(["projection", "list", "--store", store.directory]);
  assert.is(listed?.["isBeingRebuilt"], true);
  const exit = ended(child);
  child.kill("SIGKILL");
  await exit;
  assert.ok(statSync(rebuildFile).size > 0);
  // Appends go on meanwhile, and are in it.
  await store.append("numbers", { type: "Added", data: { value: 1 } });
  const [done] = await runJson(others2);
  assert.ok((done?.["fromLsn"] as number) >= 500);
  assert.is(done?.["lsn"], 20_001);
  const running = await store.project(others, { onReport });
  await running.whenCaughtUp();
  assert.is(running.state.sum, 20_001);
  assert.is(running.state.lastLsn, 20_001);
  await store.close();
});

test("a signal interrupts it, and it says that it can be gone on with", async () => {
  const store = await filledStore(20_000);
  const rebuildFile = join(store.directory, "projections", "others", "v1.rebuild");
  const parameters = ["projection", "rebuild", "--module", MODULE_PATH, "--name", "others", "--store", store.directory];
  const pace = ["--max-events-per-second", "4000", "--checkpoint-every", "500"];
  const run = await runCli([...parameters, ...pace], {
    onStart: (child) => void until(() => existsSync(rebuildFile)).then(() => child.kill("SIGINT")),
  });
  assert.is(run.exitCode, 130);
  assert.ok(run.stderr.includes("goes on from here"), run.stderr);
  assert.equal(filesOf(store, "others"), ["v1.rebuild"]);
  const [done] = await runJson(parameters);
  assert.ok((done?.["fromLsn"] as number) >= 500);
  await store.close();
});

test("killed in the process that runs it, a rebuild goes on after the restart, and the old state serves until then", async () => {
  const directory = join(temporaryDirectory(), "store");
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL("./children/rebuilding-process.js", import.meta.url)), directory],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const exit = ended(child);
  await until(() => existsSync(join(directory, "projections", "sum", "v1.rebuild")));
  child.kill("SIGKILL");
  await exit;
  const store = await openStore(directory);
  const running = await store.project(once, { onReport });
  assert.is(running.state.sum, 20_007, "the state that the killed process had saved");
  const { fromLsn } = await running.rebuild();
  assert.ok(fromLsn >= 500);
  assert.is(running.state.sum, 20_000);
  await store.close();
});

test("of an encrypted store it needs the key, and what it writes is encrypted", async () => {
  const base = temporaryDirectory();
  const keyFile = join(base, "key");
  writeFileSync(keyFile, "ab".repeat(32));
  const encryption = { key: { file: keyFile } };
  const store = await openStore(join(base, "store"), { encryption });
  const events = Array.from({ length: 500 }, () => ({ type: "Added", data: { value: 1 } }));
  for (let appended = 0; appended < 2000; appended += 500) await store.append("numbers", events);
  await rejects(rebuildProjection(store.directory, others), "ERR_KEY_MISSING");
  await rebuildProjection(store.directory, others, { encryption });
  const bytes = readFileSync(join(store.directory, "projections", "others", "v1.ready"));
  assert.not.ok(bytes.includes("lastLsn"));
  const running = await store.project(others, { rebuildIn: { module: MODULE, encryption }, onReport });
  assert.is(running.recovery.lsn, 2000);
  await running.rebuild();
  assert.is(running.state.sum, 2000);
  await rejects(running.rebuild({ in: { module: MODULE } }), "ERR_KEY_MISSING");
  assert.is(running.status, "live");
  await store.close();
});

test("modules and options that are wrong are refused before anything is written", async () => {
  const store = await filledStore(500);
  const at = ["--store", store.directory];
  const rebuild = (file: string): string[] => [
    "projection",
    "rebuild",
    "--module",
    fileURLToPath(new URL(`./children/${file}`, import.meta.url)),
    ...at,
  ];
  for (const [parameters, code] of [
    [rebuild("no-projection.js"), "ERR_PROJECTION_MODULE"],
    [rebuild("is-not-there.js"), "ERR_PROJECTION_MODULE"],
    [rebuild("number-sum.js"), "ERR_PROJECTION_MODULE"],
    [[...rebuild("number-sum.js"), "--name", "nobody"], "ERR_PROJECTION_MODULE"],
    [[...rebuild("number-sum.js"), "--name", "others", "--max-events-per-second", "0"], "ERR_USAGE"],
    [["projection", "rebuild", ...at], "ERR_USAGE"],
    [[...rebuild("one-sum.js").slice(0, 4), "--store", join(store.directory, "nowhere")], "ERR_STORE_NOT_FOUND"],
  ] as const) {
    assert.is((await runFailing(parameters)).code, code, parameters.join(" "));
  }
  assert.not.ok(existsSync(join(store.directory, "projections")));
  assert.is((await runFailing(rebuild("one-sum.js"))).code, "ERR_PROJECTION_FAILED");
  assert.equal(filesOf(store, "refusing"), []);
  const [parked] = await runJson([...rebuild("one-sum.js"), "--on-error", "park"]);
  assert.is(parked?.["lsn"], 500);
  for (const options of [
    { in: { module: MODULE } },
    { keepOnAbort: 1 },
    { checkpointEveryEvents: 0 },
    { onError: "no" },
    5,
  ]) {
    await rebuildProjection(store.directory, once, options as never).then(
      () => assert.unreachable(),
      (error: unknown) => assert.ok(error instanceof TypeError || error instanceof RangeError, String(error)),
    );
  }
  await store.close();
});

test("list, status, pause and resume, from the files alone", async () => {
  const store = await filledStore(1500);
  const at = ["--store", store.directory];
  assert.equal(await runJson(["projection", "list", ...at]), []);
  assert.is((await runFailing(["projection", "status", "sum", ...at])).code, "ERR_PROJECTION_NOT_FOUND");
  assert.is((await runFailing(["projection", "pause", "../sum", ...at])).code, "ERR_PROJECTION_NOT_FOUND");
  const running = await store.project(once, { onReport });
  await running.whenCaughtUp();
  await running.checkpoint();
  await store.append("numbers", { type: "Added", data: { value: 1 } });
  assert.equal(await runJson(["projection", "list", ...at]), [
    {
      name: "sum",
      version: 1,
      lsn: 1500,
      lag: 1,
      parkedEvents: 0,
      skippedEvents: 0,
      isPaused: false,
      isBeingRebuilt: false,
      rebuild: null,
    },
  ]);
  assert.equal(await runJson(["projection", "pause", "sum", ...at]), [{ projection: "sum", isPaused: true }]);
  await until(() => running.status === "paused");
  const [status] = await runJson(["projection", "status", "sum", ...at]);
  assert.is(status?.["isPaused"], true);
  assert.is(status?.["watermark"], 1501);
  const states = status?.["states"] as readonly { readonly lsn: number }[] | undefined;
  assert.is(states?.[0]?.lsn, 1500);
  await runJson(["projection", "resume", "sum", ...at]);
  await until(() => running.status === "live");
  writeFileSync(join(store.directory, "projections", "sum", "v9.checkpoint"), "damaged");
  const text = (await runCli(["projection", "status", "sum", ...at])).stdout;
  assert.ok(text.includes("checkpoint v9") && text.includes("not believed"), text);
  await store.close();
});
