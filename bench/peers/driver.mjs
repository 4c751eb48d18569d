/**
 * The load that every peer gets: N callers, each of which awaits one write after the other, until so many events are
 * written; then everything is read back from a fresh opening and compared.
 *
 *     node <peer>.mjs [--concurrency 1000] [--events 200000] [--dir DIR]
 *
 * Prints one JSON object. `--dir` must not be a tmpfs if the figures are to mean anything.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

const PAYLOAD_BYTES = 64;

/** The value of an event, which no other event has. */
export function payloadOf(sequence) {
  const payload = Buffer.alloc(PAYLOAD_BYTES, sequence & 0xff);
  payload.writeUInt32LE(sequence, 0);
  return payload;
}

/**
 * A peer is `{ name, open(directory) }`; `open` resolves with `{ put(sequence), close(), readBack() }`, where `put`
 * resolves when the event is durable and `readBack` gives all payloads in the order of their sequence numbers, from 0.
 */
export async function run(peer) {
  const { concurrency, events, dir } = readOptions();
  const directory = mkdtempSync(join(dir, "varve-peer-"));
  try {
    const store = await peer.open(directory);
    const latencies = new Float64Array(events);
    const elapsedMs = await load(store, { concurrency, events, latencies });
    await store.close();

    const reopened = await peer.open(directory);
    await check(reopened, events);
    await reopened.close();

    latencies.sort();
    const at = (fraction) => Number(latencies[Math.ceil(fraction * events) - 1].toFixed(4));
    const result = {
      peer: peer.name,
      concurrency,
      events,
      payloadBytes: PAYLOAD_BYTES,
      eventsPerSecond: Math.round((events * 1000) / elapsedMs),
      latencyMs: { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1) },
    };
    console.log(JSON.stringify(result));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function load(store, { concurrency, events, latencies }) {
  let next = 0;
  const call = async () => {
    while (next < events) {
      const sequence = next;
      next += 1;
      const startedMs = performance.now();
      await store.put(sequence);
      latencies[sequence] = performance.now() - startedMs;
    }
  };
  const startedMs = performance.now();
  await Promise.all(Array.from({ length: concurrency }, call));
  return performance.now() - startedMs;
}

async function check(store, events) {
  let sequence = 0;
  for await (const payload of store.readBack()) {
    if (!payloadOf(sequence).equals(payload)) throw new Error(`event ${sequence} came back as another`);
    sequence += 1;
  }
  if (sequence !== events) throw new Error(`${sequence} of ${events} events came back`);
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      concurrency: { type: "string", default: "1000" },
      events: { type: "string", default: "200000" },
      dir: { type: "string", default: tmpdir() },
    },
  });
  return {
    concurrency: count(values.concurrency, "--concurrency"),
    events: count(values.events, "--events"),
    dir: values.dir,
  };
}

function count(text, option) {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new TypeError(`${option} must be a positive integer, not "${text}"`);
  return value;
}
