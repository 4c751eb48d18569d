import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RecordedEvent } from "../../src/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { ChaosOracle, readVoids, Voids } from "./chaos-oracle.js";
import { type ChaosData, type ChaosPart, EVENT_TYPE, eventsOf, onceName, onceStream, receiptOf } from "./chaos-plan.js";

const test = suite("crash/chaos-oracle");

const one: ChaosPart = { stream: "shared-0", events: 1 };

type LogEvent = { -readonly [Key in keyof RecordedEvent]: RecordedEvent[Key] };

/** A log as it should be, to be spoiled. */
class WrittenLog {
  readonly events: LogEvent[] = [];
  readonly oracle = new ChaosOracle();
  readonly #versions = new Map<string, number>();
  #lsn = 0;

  /** LSNs that nobody fills. */
  skip(count: number): this {
    this.#lsn += count;
    return this;
  }

  append(name: string, parts: readonly ChaosPart[], hasId = false): this {
    const ends: { lsn: number; version: number }[] = [];
    for (const events of eventsOf(name, parts, hasId)) {
      for (const { data, id } of events) {
        const { stream } = data;
        const version = (this.#versions.get(stream) ?? 0) + 1;
        this.#versions.set(stream, version);
        const lsn = ++this.#lsn;
        const derivedId = `00000000-0000-8000-8000-${String(lsn).padStart(12, "0")}`;
        const payload = Buffer.from(JSON.stringify(data));
        const recordedAt = 1_000_000 + lsn;
        const facts = {
          data,
          payload,
          stream,
          version,
          lsn,
          recordedAt,
          metadata: {},
          forgotten: false,
          subjectKeyId: null,
        };
        this.events.push({ ...facts, type: EVENT_TYPE, id: id ?? derivedId });
      }
      const { lsn, version } = this.events.at(-1) as LogEvent;
      ends.push({ lsn, version });
    }
    this.oracle.acknowledge(receiptOf(name, ends));
    return this;
  }

  judge(voids = new Voids([]), watermark = this.#lsn): ReturnType<ChaosOracle["judge"]> {
    const { events } = this;
    async function* read(): AsyncGenerator<RecordedEvent> {
      yield* events;
    }
    return this.oracle.judge(read(), watermark, voids);
  }
}

function goodLog(): WrittenLog {
  return new WrittenLog()
    .append("1.0.0.0", [{ stream: "shared-0", events: 2 }])
    .append("1.0.1.0", [
      { stream: "shared-1", events: 1 },
      { stream: "shared-0", events: 2 },
    ])
    .append("1.0.0.1", [{ stream: "shared-0", events: 1 }], true)
    .append(onceName(onceStream("0-0", 0), 1), [{ stream: onceStream("0-0", 0), events: 1 }], true);
}

test("a log that is as it should be passes, also with appends that nobody heard of and with voids", async () => {
  const log = goodLog();
  const { events, appends, unacknowledged } = await log.judge();
  assert.equal({ events, appends, unacknowledged }, { events: 7, appends: 4, unacknowledged: 0 });
  assert.is(log.oracle.onceVersions.get(onceStream("0-0", 0)), 1);

  const voids = new Voids([
    [8, 9],
    [10, 10],
    [12, 12],
  ]);
  await log
    .skip(3)
    .append("2.0.0.0", [{ stream: "shared-1", events: 1 }])
    .skip(1)
    .judge(voids);
});

const SPOILERS: readonly (readonly [what: string, spoil: (log: WrittenLog) => void, complaint: RegExp])[] = [
  ["an acknowledged append that is gone", ({ events }) => events.splice(6, 1), /gone or elsewhere: once/],
  ["an acknowledgement of what never was", ({ oracle }) => oracle.acknowledge("3.0.0.0 90:1"), /gone or elsewhere/],
  ["another append at that LSN", ({ oracle }) => oracle.acknowledge("9.0.0.0 3:1 5:5"), /given twice/],
  ["a durable append that is gone", ({ oracle }) => oracle.durable("4.0.0.0", 7), /gone or elsewhere/],
  ["a durable append above its bound", ({ oracle }) => oracle.durable("1.0.1.0", 4), /durable was LSN 4/],
  ["a refused append that is there", ({ oracle }) => oracle.refuse("1.0.1.0", "ERR_WAL_BUSY"), /was refused/],
  ["half an append at the end", ({ events }) => events.splice(4, 3), /half there at the end/],
  ["half an append in the middle", ({ events }) => events.splice(1, 1), /LSN 2 is missing/],
  [
    "a gap that is no void",
    (log) => log.skip(1).append("5.0.0.0", [{ stream: "shared-2", events: 1 }]),
    /LSN 8 is missing/,
  ],
  ["an end below the watermark", (log) => log.skip(1), /reading ended at LSN 7/],
  ["a version twice", ({ events: [, second] }) => change(second, { version: 1 }), /follows version 1/],
  ["an LSN twice", ({ events: [, second] }) => change(second, { lsn: 1 }), /follows LSN 1/],
  [
    "other data",
    ({ events: [first] }) => change(first, { data: { ...(first?.data as ChaosData), text: "x" } }),
    /not as it/,
  ],
  ["another stream", ({ events: [first] }) => change(first, { stream: "shared-7" }), /not as it was/],
  ["another id", ({ events }) => change(events[5], { id: "1.0.0.1:1" }), /has the id/],
  ["an id twice", ({ events: [first, second] }) => change(second, { id: first?.id as string }), /in the stream twice/],
  ["time that goes back", ({ events }) => change(events[5], { recordedAt: 1 }), /recorded before/],
  ["an append twice", (log) => log.append("1.0.0.0", [{ stream: "shared-0", events: 2 }]), /is there twice/],
  [
    "a caller's appends in another order",
    (log) => log.append("1.0.1.7", [one]).append("1.0.1.3", [one]),
    /behind number 7/,
  ],
];

function change(event: LogEvent | undefined, to: Partial<LogEvent>): void {
  Object.assign(event as LogEvent, to);
}

for (const [what, spoil, complaint] of SPOILERS) {
  test(`finds ${what}`, async () => {
    const log = goodLog();
    await rejects(
      async () => {
        spoil(log);
        await log.judge();
      },
      ({ message }) => complaint.test(message),
    );
  });
}

test("finds an event in a void, and a void inside of an append", async () => {
  await rejects(goodLog().judge(new Voids([[7, 7]])), ({ message }) => /lies in a void/.test(message));
  const log = goodLog();
  for (const event of log.events.slice(1)) event.lsn += 1;
  await rejects(log.judge(new Voids([[2, 2]]), 8), ({ message }) => /has a void inside/.test(message));
});

test("reads the voids of the newest manifest, and leaves out what was above the end of its incarnation", () => {
  const directory = join(temporaryDirectory(), "store");
  mkdirSync(directory);
  const incarnations = [
    {
      lastLsn: 10,
      voids: [
        [3, 4],
        [9, 12],
        [11, 14],
      ],
    },
    { lastLsn: 20 },
    { lastLsn: null, voids: [[25, 26]] },
  ];
  writeFileSync(join(directory, "manifest-0000000001"), 'varve-manifest 1 0\n{"incarnations":[]}\n');
  writeFileSync(join(directory, "manifest-0000000002"), `varve-manifest 1 0\n${JSON.stringify({ incarnations })}\n`);
  const voids = readVoids(directory);
  assert.is(voids.ranges, 3);
  assert.is(voids.lsns, 6);
  const inVoids = Array.from({ length: 30 }, (_, lsn) => lsn).filter((lsn) => voids.has(lsn));
  assert.equal(inVoids, [3, 4, 9, 10, 25, 26]);
  assert.is(voids.firstOutside(9, 11), 11);
  assert.is(voids.firstOutside(9, 10), null);
});
