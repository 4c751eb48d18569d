import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { openStore } from "../../index.js";
import { type AppendFigures, type AppendLoad, findFault, runAppendLoad, writtenBy } from "../bench-append.js";
import { besideBaseline, describeBaseline, describeFault, describeLatency } from "../bench-baseline.js";
import { writeBenchProto } from "../bench-event.js";
import { EXIT_FAILED } from "../failure.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { median } from "../quantiles.js";
import { withTemporaryDirectory } from "../temporary-directory.js";

const PAIRS_DEFAULT = 5;
const KEY_BYTES = 32;

interface PairFigures {
  readonly plain: AppendFigures;
  readonly encrypted: AppendFigures;
}

/** `varve bench append --encrypted`: the same load on a store that is encrypted and on one that is not, in turn. */
export async function benchAppendEncrypted(
  context: CommandContext,
  load: AppendLoad,
  options: { readonly store: string; readonly pairs?: number },
): Promise<void> {
  const { pairs: pairCount = PAIRS_DEFAULT, store } = options;
  const progress = startProgress(context.stderr, `appending ${formatCount(load.events)} events`);
  try {
    await withTemporaryDirectory(store, ".varve-bench-", async (directory) => {
      const proto = writeBenchProto(directory);
      let fault: string | null = null;
      const run = async (isEncrypted: boolean): Promise<AppendFigures> => {
        const one = await measureOne(join(directory, "store"), proto, load, isEncrypted);
        fault ??= one.fault;
        return one.figures;
      };
      const { figures: pairs, baseline } = await besideBaseline(directory, load.events, async () => {
        const all: PairFigures[] = [];
        for (let pair = 0; pair < pairCount; pair++) {
          progress.update(() => `pair ${pair + 1} of ${pairCount}`);
          // In turn the one or the other first: whoever comes second finds a warmer machine.
          const first = await run(pair % 2 === 1);
          const second = await run(pair % 2 === 0);
          all.push(pair % 2 === 1 ? { plain: second, encrypted: first } : { plain: first, encrypted: second });
        }
        return all;
      });
      progress.stop();
      const ratio = median(pairs.map(({ plain, encrypted }) => encrypted.eventsPerSecond / plain.eventsPerSecond));
      await context.output.print({ ...load, ratio, pairs, baseline, fault }, () =>
        [describe(load, pairs, ratio), describeBaseline(baseline), describeFault(fault)].join("\n"),
      );
      if (fault !== null) context.exitCode = EXIT_FAILED;
    });
  } finally {
    progress.stop();
  }
}

async function measureOne(
  directory: string,
  proto: string,
  load: AppendLoad,
  isEncrypted: boolean,
): Promise<{ readonly figures: AppendFigures; readonly fault: string | null }> {
  const encryption = isEncrypted ? { key: () => randomBytes(KEY_BYTES) } : null;
  const store = await openStore(directory, { schemas: [proto], encryption });
  try {
    const figures = await runAppendLoad(store, load);
    return { figures, fault: await findFault(store, writtenBy(load)) };
  } finally {
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

function describe(load: AppendLoad, pairs: readonly PairFigures[], ratio: number): string {
  const rate = (of: keyof PairFigures): string =>
    formatCount(Math.round(median(pairs.map((pair) => pair[of].eventsPerSecond))));
  const latency = (of: keyof PairFigures): string => {
    const at = (name: "p50" | "p99" | "p999" | "max"): number => median(pairs.map((pair) => pair[of].latencyMs[name]));
    return describeLatency({ p50: at("p50"), p99: at("p99"), p999: at("p999"), max: at("max") });
  };
  return [
    `encrypted ${rate("encrypted")} events/s, not encrypted ${rate("plain")}: the medians of ${pairs.length} pairs, whose median ratio is ${ratio.toFixed(3)}`,
    `  ${formatCount(load.events)} events of ${load.payloadBytes} bytes by ${load.concurrency} callers, ${load.durability}`,
    `  encrypted:     ${latency("encrypted")}`,
    `  not encrypted: ${latency("plain")}`,
  ].join("\n");
}
