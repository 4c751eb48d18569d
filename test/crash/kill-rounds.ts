/**
 * Kills a writer at random moments, again and again, and looks each time what the store holds.
 *
 * - Every acknowledged append is there, with its content.
 * - No append is half there: all its events, one after the other, or none.
 * - What was there after one recovery is there after every later one, at the same LSN.
 * - Stream versions and LSNs have no gaps.
 *
 * A round is one child. Most are killed while they append, some while they recover. After some rounds nobody looks, and the next child
 * finds what the crash left; else the store is opened, read and closed here.
 */

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type IoDemand, openStore } from "../../src/index.js";
import { type SeededRandom, seededRandom } from "../support/seeded-random.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { AppendOracle } from "./append-oracle.js";
import type { PlannedData } from "./kill-plan.js";

const WRITER = fileURLToPath(new URL("./children/kill-writer.js", import.meta.url));
/** A store is used for so many rounds: it stays small, so that reading it costs little. */
const ROUNDS_PER_STORE = 20;
const APPENDING_MS_MAX = 60;
const RECOVERING_MS_MAX = 12;
const CHILD_DEADLINE_MS = 30_000;

export interface KillReport {
  readonly rounds: number;
  readonly killsInRecovery: number;
  readonly verifications: number;
  readonly acknowledged: number;
  /** Appends that were there without having been acknowledged. */
  readonly unacknowledgedKept: number;
  readonly tornTails: number;
  readonly rewrittenRecords: number;
  readonly elapsedMs: number;
}

type Writer = ChildProcessByStdio<Writable, Readable, null>;

/** A child that has loaded its modules and waits for its order: starting one takes longer than a round. */
class WarmWriter {
  readonly #child: Writer;
  readonly #ended: Promise<void>;
  readonly acks: { readonly name: string; readonly lsn: number }[] = [];
  #said: string[] = [];
  #rest = "";
  #listener: (() => void) | null = null;
  hasEnded = false;

  constructor() {
    this.#child = spawn(process.execPath, [WRITER], { stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdin.on("error", () => {}); // it was killed before it read its order
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => this.#hear(text));
    this.#ended = new Promise((resolve) => {
      this.#child.on("close", () => {
        this.hasEnded = true;
        this.#listener?.();
        resolve();
      });
    });
  }

  #hear(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() as string; // a line that was cut says nothing
    for (const line of lines) {
      const [word, name, lsn] = line.split(" ") as [string, string?, string?];
      if (word === "ack") this.acks.push({ name: name as string, lsn: Number(lsn) });
      else this.#said.push(word);
    }
    this.#listener?.();
  }

  order(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** Resolves when it has said that word; throws when it ends before. */
  whenSaid(word: "ready" | "opening" | "open"): Promise<void> {
    return this.#when(word, () => this.#said.includes(word));
  }

  /** Resolves when an append of it was acknowledged; throws when it ends before. */
  whenAcknowledged(): Promise<void> {
    return this.#when("ack", () => this.acks.length > 0);
  }

  async #when(word: string, isSaid: () => boolean): Promise<void> {
    const deadline = performance.now() + CHILD_DEADLINE_MS;
    while (!isSaid()) {
      if (this.hasEnded) throw new Error(`the writer ended before it said "${word}"`);
      if (performance.now() > deadline) throw new Error(`the writer did not say "${word}" in time`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000);
        this.#listener = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Kills it and resolves when it is gone and all it said was heard. */
  async kill(): Promise<void> {
    if (this.hasEnded) throw new Error("the writer ended by itself");
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}

interface Tally {
  killsInRecovery: number;
  verifications: number;
  acknowledged: number;
  unacknowledgedKept: number;
  tornTails: number;
  rewrittenRecords: number;
}

async function look(directory: string, io: IoDemand, oracle: AppendOracle, tally: Tally): Promise<void> {
  const store = await openStore(directory, { segmentBytes: 512 * 1024, io, onWaiting: () => {} });
  try {
    const events = [];
    for await (const { lsn, stream, version, data } of store.readAll())
      events.push({ lsn, stream, version, data: data as PlannedData });
    if (store.watermark !== events.length)
      throw new Error(`W is ${store.watermark}, ${events.length} events were read`);
    tally.unacknowledgedKept += oracle.check(events);
    tally.verifications++;
    if (store.recovery.tornAt !== null) tally.tornTails++;
    tally.rewrittenRecords += store.recovery.rewrittenRecords;
  } finally {
    await store.close();
  }
}

/** Lets the writer run and kills it. Returns whether that was before it had opened the store. */
async function runAndKill(writer: WarmWriter, random: SeededRandom): Promise<boolean> {
  await writer.whenSaid("opening");
  if (random.integer(6) === 0) {
    await delay(random.next() * RECOVERING_MS_MAX);
    const isInRecovery = writer.acks.length === 0;
    await writer.kill();
    return isInRecovery;
  }
  await writer.whenSaid("open");
  // On a slow disk nothing would ever be acknowledged otherwise.
  if (random.integer(2) === 0) await writer.whenAcknowledged();
  await delay(random.next() * APPENDING_MS_MAX);
  await writer.kill();
  return false;
}

export interface KillOptions {
  readonly rounds: number;
  readonly seed?: number;
  readonly io?: IoDemand;
  readonly onRound?: (round: number) => void;
}

/** Runs the rounds; throws with the seed at the first thing that is not as promised. */
export async function runKillRounds({ rounds, seed, io = "auto", onRound }: KillOptions): Promise<KillReport> {
  const random = seededRandom(seed);
  const tally: Tally = {
    killsInRecovery: 0,
    verifications: 0,
    acknowledged: 0,
    unacknowledgedKept: 0,
    tornTails: 0,
    rewrittenRecords: 0,
  };
  const started = performance.now();
  let directory = "";
  let oracle = new AppendOracle();
  let next = new WarmWriter();
  try {
    for (let round = 0; round < rounds; round++) {
      if (round % ROUNDS_PER_STORE === 0) {
        directory = join(temporaryDirectory(), "store");
        oracle = new AppendOracle();
      }
      const writer = next;
      await writer.whenSaid("ready");
      if (round + 1 < rounds) next = new WarmWriter();
      writer.order(`${directory} ${round} ${random.pick([512, 1024, 4096]) * 1024} ${io}`);
      if (await runAndKill(writer, random)) tally.killsInRecovery++;
      oracle.acknowledge(writer.acks);
      tally.acknowledged += writer.acks.length;
      const isLastOfStore = round % ROUNDS_PER_STORE === ROUNDS_PER_STORE - 1 || round === rounds - 1;
      if (isLastOfStore || random.integer(3) > 0) await look(directory, io, oracle, tally);
      onRound?.(round + 1);
    }
  } catch (error) {
    if (!next.hasEnded) await next.kill();
    throw new Error(`with SEED=${random.seed}, in ${directory}: ${(error as Error).message}`, { cause: error });
  }
  return { rounds, ...tally, elapsedMs: performance.now() - started };
}
