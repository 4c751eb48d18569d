/**
 * The power is cut at each write and each flush of the file of subject keys, and leaves of what was not flushed nothing, all, parts, or a block that is
 * spoilt with all that was in it: no key is lost that somebody was told of, and none comes back that was destroyed.
 */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StoreKeys } from "../../../src/wal/crypt/store-keys.js";
import {
  RECORDS_PER_BLOCK,
  SUBJECT_BLOCK_BYTES,
  type SubjectCopy,
  subjectRecordOffset,
} from "../../../src/wal/subjects/subject-block.js";
import { SubjectKeys } from "../../../src/wal/subjects/subject-keys.js";
import { keyOf } from "../../encryption/support.js";
import { assert } from "../../support/assert.js";
import { type RecordedStep, withRecordedWrites } from "../../support/recorded-writes.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

const test = suite("wal/subjects/power-cuts");
const STORE_ID = Buffer.alloc(16, 9);
const AAD = Buffer.from("where it belongs");
const PLAIN = "what is said";
const SECTOR_BYTES = 512;

let directory = "";
let path = "";
let masters: StoreKeys;
test.beforeEach(async () => {
  const base = temporaryDirectory();
  path = join(base, "subjects");
  directory = join(base, "store");
  mkdirSync(directory);
  masters = await StoreKeys.load({ key: keyOf(1) });
  masters.adopt(STORE_ID, masters.entered(STORE_ID, undefined));
});
test.afterEach(() => masters.close());

function opened(): Promise<SubjectKeys> {
  const place = { path, directory, storeId: STORE_ID, keys: masters, isWriting: true, isExpected: false };
  return SubjectKeys.open({ ...place, busyWaitMs: 50 });
}

/** A subject, and something that is sealed by its key. */
interface Subject {
  readonly name: string;
  readonly id: Buffer;
  readonly sealed: Buffer;
}

async function made(keys: SubjectKeys, name: string): Promise<Subject> {
  const id = await keys.ensureKey(name);
  const sealed = keys.seal(id, AAD, Buffer.from(PLAIN));
  if (sealed === null) throw new Error("the key is destroyed");
  return { name, id, sealed };
}

function read(keys: SubjectKeys, { id, sealed }: Subject): string {
  const result = keys.open(id, AAD, sealed);
  return result.kind === "plain"
    ? result.bytes.toString()
    : result.kind === "refused"
      ? result.error.code
      : "destroyed";
}

interface CrashState {
  readonly what: string;
  readonly bytes: Buffer;
  /** Everything was done. */
  readonly isDone: boolean;
}

type Write = Extract<RecordedStep, { kind: "write" }>;

function written(bytes: Buffer, { offset, bytes: content }: Write, from = 0, to = content.length): Buffer {
  const result = Buffer.alloc(Math.max(bytes.length, offset + to));
  bytes.copy(result);
  content.copy(result, offset + from, from, to);
  return result;
}

function spoilt(bytes: Buffer, { offset }: Write, by: number): Buffer {
  const start = offset - (offset % SUBJECT_BLOCK_BYTES);
  return Buffer.from(bytes).fill(by, start, start + SUBJECT_BLOCK_BYTES);
}

/** What a power cut in the middle of these steps can leave. Of several writes that are not flushed one is torn or spoilt, the others are there or not. */
function* crashStates(before: Buffer, steps: readonly RecordedStep[]): Generator<CrashState> {
  let durable = before;
  let unflushed: Write[] = [];
  yield { what: "before the first step", bytes: before, isDone: steps.length === 0 };
  for (const [index, step] of steps.entries()) {
    const isDone = index === steps.length - 1;
    const at = `step ${index + 1} of ${steps.length}`;
    if (step.kind === "flush") {
      for (const write of unflushed) durable = written(durable, write);
      unflushed = [];
      yield { what: `${at}, flushed`, bytes: durable, isDone };
      continue;
    }
    unflushed.push(step);
    for (const others of ["without", "with"]) {
      for (const write of unflushed) {
        const rest = others === "with" ? unflushed.filter((each) => each !== write) : [];
        const image = rest.reduce((bytes, each) => written(bytes, each), durable);
        const what = `${at}, ${others} the others, the write at ${write.offset}`;
        const whole = written(image, write);
        yield { what: `${what} not there`, bytes: image, isDone: false };
        yield { what: `${what} there`, bytes: whole, isDone: false };
        for (const by of [0, 7])
          yield { what: `${what} spoilt by ${by}`, bytes: spoilt(whole, write, by), isDone: false };
        for (let edge = SECTOR_BYTES; edge < write.bytes.length; edge += SECTOR_BYTES) {
          yield { what: `${what} torn behind ${edge}`, bytes: written(image, write, 0, edge), isDone: false };
          yield { what: `${what} torn before ${edge}`, bytes: written(image, write, edge), isDone: false };
        }
      }
    }
  }
}

interface Expectation {
  readonly kept: readonly Subject[];
  /** Whose keys are being destroyed, and with `isGone` have been. */
  readonly destroyed: readonly Subject[];
  readonly isGone: boolean;
}

/** Whoever opens the file finds what must be there; what he writes then is there, too. */
async function judge(
  { kept, destroyed, isGone }: Expectation,
  what: string,
): Promise<{ readonly steps: RecordedStep[]; readonly later: Subject }> {
  const { steps, result: later } = await withRecordedWrites(async () => {
    const keys = await opened();
    for (const subject of kept) assert.is(read(keys, subject), PLAIN, `${subject.name}: ${what}`);
    for (const subject of destroyed) {
      const text = read(keys, subject);
      assert.ok(text === "destroyed" || (!isGone && text === PLAIN), `${subject.name} is ${text}: ${what}`);
      const isToLog = keys.compare([]).toLog.includes(subject.id.toString("hex"));
      assert.is(isToLog, text === "destroyed", `${subject.name} to be logged: ${what}`);
    }
    const added = await made(keys, "later");
    await keys.destroyKeys(destroyed.map(({ id }) => id.toString("hex")));
    await keys.close();
    return added;
  });
  return { steps, later };
}

/** The bytes of the keys of a subject in both copies, as they lie in the file. */
function keyBytesIn(file: Buffer, index: number): Buffer[] {
  return ([0, 1] as const)
    .map((copy: SubjectCopy) => subjectRecordOffset(index, copy))
    .map((at) => Buffer.from(file.subarray(at + 36, at + 128)))
    .filter((bytes) => bytes.some((byte) => byte !== 0));
}

interface Work {
  /** Whose keys are destroyed. */
  readonly destroyed: readonly Subject[];
  readonly added: readonly Subject[];
}

/** Judges each state that a power cut in these steps, or in what whoever comes afterwards does, can leave. Resolves with how many there were. */
async function judgeEach(
  before: Buffer,
  steps: readonly RecordedStep[],
  subjects: readonly Subject[],
  { destroyed, added }: Work,
): Promise<number> {
  const kept = subjects.filter((subject) => !destroyed.includes(subject));
  let states = 0;
  for (const { what, bytes, isDone } of crashStates(before, steps)) {
    states++;
    for (const subject of isDone ? destroyed : []) {
      const pieces = keyBytesIn(before, Number(subject.name.slice(2)));
      assert.not.ok(
        pieces.some((piece) => bytes.includes(piece)),
        `the key of ${subject.name} is left: ${what}`,
      );
    }
    writeFileSync(path, bytes);
    const expected = { kept: isDone ? [...kept, ...added] : kept, destroyed, isGone: isDone };
    const then = await judge(expected, what);
    const ended = { kept: [...expected.kept, then.later], destroyed, isGone: true };
    await judge(ended, `${what}; ended`);
    if (!what.includes("spoilt by 7") && !isDone) continue;
    for (const { what: later, bytes: left, isDone: isEnded } of crashStates(bytes, then.steps)) {
      if (!later.includes("spoilt by 7")) continue;
      states++;
      writeFileSync(path, left);
      await judge(isEnded ? ended : expected, `${what}; then ${later}`);
    }
  }
  return states;
}

async function cutAtEachStep(
  count: number,
  work: (keys: SubjectKeys, subjects: readonly Subject[]) => Promise<Work>,
): Promise<number> {
  const keys = await opened();
  const subjects: Subject[] = [];
  for (let index = 0; index < count; index++) subjects.push(await made(keys, `s-${index}`));
  const before = readFileSync(path);
  const { steps, result } = await withRecordedWrites(() => work(keys, subjects));
  await keys.close();
  return judgeEach(before, steps, subjects, result);
}

const adding = async (keys: SubjectKeys): Promise<Work> => ({ destroyed: [], added: [await made(keys, "added")] });

function destroying(...indexes: readonly number[]) {
  return async (keys: SubjectKeys, subjects: readonly Subject[]): Promise<Work> => {
    const destroyed = indexes.map((index) => subjects[index] as Subject);
    if (destroyed.length === 1) await keys.destroySubject((destroyed[0] as Subject).name);
    else await keys.destroyKeys(destroyed.map(({ id }) => id.toString("hex")));
    return { destroyed, added: [] };
  };
}

for (const count of [0, 1, RECORDS_PER_BLOCK - 1, RECORDS_PER_BLOCK, RECORDS_PER_BLOCK + 1]) {
  test(`adding a key to ${count} others`, async () => {
    const states = await cutAtEachStep(count, adding);
    assert.ok(states > 20, `${states} states`);
  });
}

for (const indexes of [[0], [2], [RECORDS_PER_BLOCK], [1, 3], [0, RECORDS_PER_BLOCK]]) {
  test(`destroying the keys ${indexes} of ${RECORDS_PER_BLOCK + 2}`, async () => {
    const states = await cutAtEachStep(RECORDS_PER_BLOCK + 2, destroying(...indexes));
    assert.ok(states > 50, `${states} states`);
  });
}

for (const [name, first] of [
  ["adding", adding],
  ["destroying", destroying(1)],
] as const) {
  test(`${name} by one who dies at any step, and adding and destroying by one who had the file open`, async () => {
    const [dying, subjects] = [await opened(), [] as Subject[]];
    for (let index = 0; index < 4; index++) subjects.push(await made(dying, `s-${index}`));
    const before = readFileSync(path);
    const { steps: all, result } = await withRecordedWrites(() => first(dying, subjects));
    await dying.close();
    let states = 0;
    for (let count = 0; count < all.length; count++) {
      const steps = all.slice(0, count);
      for (const second of [adding, destroying(0)]) {
        writeFileSync(path, before);
        const living = await opened();
        for (const step of steps) if (step.kind === "write") writeFileSync(path, written(readFileSync(path), step));
        const { steps: others, result: work } = await withRecordedWrites(() => second(living, subjects));
        await living.close();
        const perhaps = result.destroyed; // by who died
        const kept = subjects.filter((subject) => !perhaps.includes(subject));
        states += await judgeEach(before, [...steps, ...others], kept, work);
      }
    }
    assert.ok(states > 200, `${states} states`);
  });
}
