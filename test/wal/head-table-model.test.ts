/** The protocol of stream heads, checked in every state that two writers with two outstanding appends each can reach. */

import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import {
  APPEND_COUNT,
  FIRST_STATE,
  type HeadProtocol,
  type HeadState,
  keyOf,
  NOBODY,
  stepsFrom,
} from "./support/head-model.js";

const test = suite("wal/head-table-model");

const STATE_COUNT_MIN = 100_000;

/** `goesOn`: whether there is a step that gets something done. */
type Property = (state: HeadState, goesOn: boolean) => boolean;

const UNIQUE = "no two acknowledged appends have the same version";
const NO_VANISHED = "no acknowledged append was judged from a foreign tentative head that vanished";
const DENSE = "the versions of what W has passed are 1, 2, 3, …";
const HIGHEST = "a head without a tentative version tells the highest kept one";
const FREE = "the head of a settled writer is free of it";
const NOBODY_WAITS = "nobody waits for ever";

const PROPERTIES: Readonly<Record<string, Property>> = {
  [UNIQUE]: ({ writers }) => {
    const versions = writers.flatMap((writer) => writer.versions.slice(0, writer.acknowledged));
    return new Set(versions).size === versions.length;
  },
  [NO_VANISHED]: (state) =>
    state.writers.every(({ judgedFrom, acknowledged }, index) =>
      judgedFrom.slice(0, acknowledged).every((epoch) => epoch === 0 || !hasVanished(state, 1 - index, epoch)),
    ),
  [DENSE]: ({ frames, watermark }) =>
    frames
      .slice(0, watermark)
      .filter(({ status }) => status === "durable")
      .every(({ version }, index) => version === index + 1),
  [HIGHEST]: ({ lock, owner, frames, committed }) => {
    if (lock !== NOBODY || owner !== NOBODY) return true;
    const kept = frames.filter(({ status }) => status !== "void").map(({ version }) => version);
    return committed === Math.max(0, ...kept);
  },
  [FREE]: ({ lock, owner, writers }) =>
    writers.every(({ life }, index) => life !== "settled" || (owner !== index && lock !== index)),
  [NOBODY_WAITS]: ({ writers }, goesOn) =>
    goesOn ||
    writers.every(({ life, released }) => (life === "alive" ? released === APPEND_COUNT : life === "settled")),
};

function hasVanished(state: HeadState, writer: number, epoch: number): boolean {
  const frame = state.frames.find((one) => one.writer === writer && one.epoch === epoch);
  if (frame === undefined) return state.writers[writer]?.life === "settled";
  return frame.status === "void";
}

interface Found {
  readonly stateCount: number;
  /** The first property found broken, null when all hold in all states. */
  readonly broken: string | null;
  /** How the state came about that breaks it. */
  readonly steps: readonly string[];
}

/** Looks at every state that can be reached, the nearest first, up to the first that breaks one of the properties. */
function search(protocol: HeadProtocol, properties: Readonly<Record<string, Property>>): Found {
  const states: HeadState[] = [FIRST_STATE];
  const names: string[] = [""];
  const cameFrom: number[] = [-1];
  const seen = new Set([keyOf(FIRST_STATE)]);
  for (let index = 0; index < states.length; index++) {
    const state = states[index] as HeadState;
    const steps = stepsFrom(state, protocol);
    const goesOn = steps.some(({ isProgress }) => isProgress);
    for (const [name, holds] of Object.entries(properties)) {
      if (holds(state, goesOn)) continue;
      return { stateCount: states.length, broken: name, steps: pathTo(index, names, cameFrom) };
    }
    for (const { name, state: next } of steps) {
      const key = keyOf(next);
      if (seen.has(key)) continue;
      seen.add(key);
      states.push(next);
      names.push(name);
      cameFrom.push(index);
    }
  }
  return { stateCount: states.length, broken: null, steps: [] };
}

function pathTo(last: number, names: readonly string[], cameFrom: readonly number[]): string[] {
  const path: string[] = [];
  for (let index = last; index > 0; index = cameFrom[index] as number) path.unshift(names[index] as string);
  return path;
}

test(`with the protocol as it is, all properties hold in each of more than ${STATE_COUNT_MIN} states`, () => {
  const { stateCount, broken, steps } = search({}, PROPERTIES);
  assert.is(broken, null, `${broken}: ${steps.join("; ")}`);
  assert.ok(stateCount > STATE_COUNT_MIN, `${stateCount} states`);
});

const WRONG_PROTOCOLS: readonly (readonly [string, HeadProtocol, string])[] = [
  ["answering from another core's tentative head", { answersFromForeignTentative: true }, NO_VANISHED],
  ["taking a void for committed", { takesVoidForCommitted: true }, DENSE],
  ["clearing the tentative version before the committed one is stored", { clearsBeforeItCommits: true }, UNIQUE],
  ["not raising what is committed while a later batch is tentative", { neverRaises: true }, UNIQUE],
  ["keeping frames behind a gap", { keepsBehindGap: true }, DENSE],
  ["settling to the tentative version", { settlesToTentative: true }, DENSE],
  ["breaking the lock without settling", { onlyBreaksLocks: true }, NOBODY_WAITS],
  ["settling to the committed version", { settlesToCommitted: true }, HIGHEST],
];

for (const [name, protocol, property] of WRONG_PROTOCOLS) {
  test(`${name} breaks it: ${property}`, () => {
    const { broken } = search(protocol, { [property]: PROPERTIES[property] as Property });
    assert.is(broken, property);
  });
}
