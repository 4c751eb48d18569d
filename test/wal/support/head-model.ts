/**
 * The protocol of stream heads as a state machine without files.
 *
 * Two writers append twice each to one stream; each may have both appends outstanding, a batch for each. Their steps, those of the kernel
 * (a frame becomes durable), of W, and of a survivor who takes over and settles interleave in all ways. A writer can die between any two
 * steps, a survivor between any two of settling.
 */

/** What a wrong implementation does otherwise. */
export interface HeadProtocol {
  /** An append is judged from another core's tentative head. */
  readonly answersFromForeignTentative?: true;
  /** A void LSN below W counts as a committed batch. */
  readonly takesVoidForCommitted?: true;
  /** A commit clears the tentative version before it stores the committed one. */
  readonly clearsBeforeItCommits?: true;
  /** The commit of a batch leaves the committed version as it is while a later batch is tentative. */
  readonly neverRaises?: true;
  /** Takeover keeps durable frames that lie behind a lost one. */
  readonly keepsBehindGap?: true;
  /** Settling stores the tentative version, kept or not. */
  readonly settlesToTentative?: true;
  /** Settling breaks the lock and leaves the head as it is. */
  readonly onlyBreaksLocks?: true;
  /** Settling clears the tentative version and leaves the committed one as it is. */
  readonly settlesToCommitted?: true;
}

export const APPEND_COUNT = 2;
const SURVIVOR = 2;
export const NOBODY = -1;

interface Frame {
  readonly writer: number;
  /** Also the number of the append: each has a batch of its own. From 1. */
  readonly epoch: number;
  readonly version: number;
  status: "pending" | "durable" | "void";
}

const PLACES = ["idle", "judge", "flip", "help", "finish help", "update", "finish update", "unlock"] as const;
type Place = (typeof PLACES)[number];

interface Writer {
  life: "alive" | "dead" | "taken over" | "settled";
  place: Place;
  /** The versions of its appends so far, and for each the foreign epoch that it was judged from, 0 when there was none. */
  versions: readonly number[];
  judgedFrom: readonly number[];
  /** How many of its appends were sealed, were acknowledged, and have their heads updated and their lanes given back. */
  sealed: number;
  acknowledged: number;
  released: number;
}

export interface HeadState {
  lock: number;
  committed: number;
  /** Whose tentative version there is, or nobody's. */
  owner: number;
  tentative: number;
  epoch: number;
  watermark: number;
  /** LSN 1 is the first. */
  readonly frames: readonly Frame[];
  readonly writers: readonly [Writer, Writer];
  settling: "nothing" | "decide" | "clear" | "unlock";
  /** Whom the survivor settles, or nobody. */
  settled: number;
}

export const FIRST_STATE: HeadState = {
  lock: NOBODY,
  committed: 0,
  owner: NOBODY,
  tentative: 0,
  epoch: 0,
  watermark: 0,
  frames: [],
  writers: [newWriter(), newWriter()],
  settling: "nothing",
  settled: NOBODY,
};

export interface Step {
  readonly name: string;
  /** Whether something gets done by it: neither a death nor a look at a head that cannot be answered from. */
  readonly isProgress: boolean;
  readonly state: HeadState;
}

/** The same for two states that differ only in which writer is called 0 and which 1. */
export function keyOf(state: HeadState): string {
  const one = keyAs(state, 0);
  const other = keyAs(state, 1);
  if (one < other) return one;
  return other;
}

/** With the writer `first` told first. Short, because most of the time of a search goes into keys. */
function keyAs(state: HeadState, first: 0 | 1): string {
  const nameOf = (writer: number): number => (writer === 0 || writer === 1 ? writer ^ first : writer);
  let key = `${nameOf(state.lock)}${state.committed}${nameOf(state.owner)}${state.tentative}${state.epoch}`;
  key += `${state.watermark}${state.settling[0]}${nameOf(state.settled)}`;
  for (const { writer, epoch, version, status } of state.frames)
    key += `${nameOf(writer)}${epoch}${version}${status[0]}`;
  return key + keyOfWriter(state.writers[first]) + keyOfWriter(state.writers[(1 - first) as 0 | 1]);
}

function keyOfWriter({ life, place, versions, judgedFrom, sealed, acknowledged, released }: Writer): string {
  let key = `|${life[0]}${PLACES.indexOf(place)}${sealed}${acknowledged}${released}`;
  for (let index = 0; index < versions.length; index++) key += `${versions[index]}${judgedFrom[index]}`;
  return key;
}

/** All steps that can come next. */
export function stepsFrom(state: HeadState, protocol: HeadProtocol): Step[] {
  const steps: Step[] = [];
  const emit: Emit = (name, change, isProgress = true) => {
    const next = copyOf(state);
    change(next);
    steps.push({ name, isProgress, state: next });
  };
  for (const [index, { life }] of state.writers.entries()) {
    if (life === "alive") emitWriter(state, index, protocol, emit);
    if (life === "dead") emit(`${index} is taken over`, (next) => takeOver(next, index, protocol));
  }
  emitSettling(state, protocol, emit);
  for (const [index, { writer, status }] of state.frames.entries()) {
    const lsn = index + 1;
    if (status === "pending") emit(`LSN ${lsn} of ${writer} is durable`, (next) => setStatus(next, index, "durable"));
    else if (lsn === state.watermark + 1) emit(`W is ${lsn}`, (next) => (next.watermark = lsn));
  }
  return steps;
}

type Emit = (name: string, change: (next: HeadState) => void, isProgress?: boolean) => void;

function newWriter(): Writer {
  return { life: "alive", place: "idle", versions: [], judgedFrom: [], sealed: 0, acknowledged: 0, released: 0 };
}

function copyOf(state: HeadState): HeadState {
  const [first, second] = state.writers;
  return { ...state, frames: state.frames.map((frame) => ({ ...frame })), writers: [{ ...first }, { ...second }] };
}

function setStatus(next: HeadState, index: number, status: Frame["status"]): void {
  (next.frames[index] as Frame).status = status;
}

function clearTentative(next: HeadState): void {
  next.owner = NOBODY;
  next.tentative = 0;
  next.epoch = 0;
}

function isCommitted(state: HeadState, writer: number, epoch: number, protocol: HeadProtocol): boolean {
  const index = state.frames.findIndex((frame) => frame.writer === writer && frame.epoch === epoch);
  if (index === -1 || index >= state.watermark) return false;
  return state.frames[index]?.status === "durable" || protocol.takesVoidForCommitted === true;
}

function emitWriter(state: HeadState, index: number, protocol: HeadProtocol, emit: Emit): void {
  const me = state.writers[index] as Writer;
  const step = (name: string, change: (next: HeadState, me: Writer) => void, isProgress?: boolean): void =>
    emit(`${index} ${name}`, (next) => change(next, next.writers[index] as Writer), isProgress);

  step("dies", (_, me) => (me.life = "dead"), false);
  switch (me.place) {
    case "idle":
      emitIdle(state, index, protocol, step);
      break;
    case "judge":
      emitJudging(state, index, protocol, step);
      break;
    case "flip":
      step("makes its version tentative", (next, me) => {
        next.owner = index;
        next.tentative = me.versions.at(-1) as number;
        next.epoch = me.versions.length;
        me.place = "unlock";
      });
      break;
    case "help":
    case "update":
      emitCommit(state, index, protocol, step);
      break;
    case "finish help":
    case "finish update":
      step("ends its commit", (next, me) => {
        if (protocol.clearsBeforeItCommits) next.committed = committedBy(state, me);
        clearTentative(next);
        endCommit(me);
      });
      break;
    case "unlock":
      step("unlocks", (next, me) => {
        next.lock = NOBODY;
        me.place = "idle";
      });
      break;
  }
}

type OwnStep = (name: string, change: (next: HeadState, me: Writer) => void, isProgress?: boolean) => void;

function emitIdle(state: HeadState, index: number, protocol: HeadProtocol, step: OwnStep): void {
  const me = state.writers[index] as Writer;
  const lock = (next: HeadState, me: Writer, place: Place): void => {
    next.lock = index;
    me.place = place;
  };
  if (me.versions.length < APPEND_COUNT && state.lock === NOBODY) {
    const isForeign = state.owner !== NOBODY && state.owner !== index;
    const isFutile =
      isForeign && !protocol.answersFromForeignTentative && !isCommitted(state, state.owner, state.epoch, protocol);
    step("locks to append", (next, me) => lock(next, me, "judge"), !isFutile);
  }
  if (me.sealed < me.versions.length) {
    step("seals", (next, me) => {
      const version = me.versions[me.sealed] as number;
      me.sealed++;
      Object.assign(next, {
        frames: [...next.frames, { writer: index, epoch: me.sealed, version, status: "pending" }],
      });
    });
  }
  if (me.acknowledged < me.sealed && isCommitted(state, index, me.acknowledged + 1, protocol)) {
    step("acknowledges", (_, me) => me.acknowledged++);
  }
  if (me.released < me.acknowledged && state.lock === NOBODY) {
    step("locks to commit", (next, me) => lock(next, me, "update"));
  }
}

function emitJudging(state: HeadState, index: number, protocol: HeadProtocol, step: OwnStep): void {
  const judge = (base: number, judgedFrom: number): void =>
    step(`judges from version ${base}`, (_, me) => {
      me.versions = [...me.versions, base + 1];
      me.judgedFrom = [...me.judgedFrom, judgedFrom];
      me.place = "flip";
    });
  if (state.owner === NOBODY) judge(state.committed, 0);
  else if (state.owner === index) judge(state.tentative, 0);
  else if (protocol.answersFromForeignTentative) judge(state.tentative, state.epoch);
  else if (isCommitted(state, state.owner, state.epoch, protocol)) step("will help", (_, me) => (me.place = "help"));
  else step("must wait", (_, me) => (me.place = "unlock"));
}

/** The committed version after the commit that a writer is at: of another's head when it helps, else of its own batch. */
function committedBy(state: HeadState, me: Writer): number {
  return me.place === "help" || me.place === "finish help" ? state.tentative : (me.versions[me.released] as number);
}

function emitCommit(state: HeadState, index: number, protocol: HeadProtocol, step: OwnStep): void {
  const me = state.writers[index] as Writer;
  const isHelp = me.place === "help";
  if (isHelp || (state.owner === index && state.epoch === me.released + 1)) {
    step("commits", (next, me) => {
      // The version itself stays, as in a register of who does it in this wrong order.
      if (protocol.clearsBeforeItCommits) next.owner = NOBODY;
      else next.committed = committedBy(state, me);
      me.place = isHelp ? "finish help" : "finish update";
    });
  } else {
    step("raises what is committed", (next, me) => {
      if (!protocol.neverRaises) next.committed = Math.max(next.committed, committedBy(state, me));
      endCommit(me);
    });
  }
}

/** Who has helped looks again; who has brought its own head up to date gives the lane back. */
function endCommit(me: Writer): void {
  if (me.place === "finish help") {
    me.place = "judge";
  } else {
    me.released++;
    me.place = "unlock";
  }
}

function takeOver(next: HeadState, index: number, protocol: HeadProtocol): void {
  let isKept = true;
  for (const [at, frame] of next.frames.entries()) {
    if (frame.writer !== index) continue;
    isKept = frame.status === "durable" && (isKept || protocol.keepsBehindGap === true);
    if (!isKept) setStatus(next, at, "void");
  }
  (next.writers[index] as Writer).life = "taken over";
}

/** Of the frames that the dead writer's lanes still name: those of batches before were brought into the head. */
function keptVersion(state: HeadState, index: number): number {
  const { released } = state.writers[index] as Writer;
  const kept = state.frames.filter(
    ({ writer, epoch, status }) => writer === index && epoch > released && status === "durable",
  );
  return Math.max(state.committed, ...kept.map(({ version }) => version));
}

function emitSettling(state: HeadState, protocol: HeadProtocol, emit: Emit): void {
  if (state.settled !== NOBODY) {
    emitSettlingLocked(state, state.settled, protocol, emit);
    return;
  }
  for (const [index, { life }] of state.writers.entries()) {
    if (life === "taken over") emitSettlingBegin(state, index, protocol, emit);
  }
}

function emitSettlingBegin(state: HeadState, index: number, protocol: HeadProtocol, emit: Emit): void {
  const isMine = state.owner === index;
  const isLocked = state.lock === index;
  const settled = (next: HeadState): void => {
    (next.writers[index] as Writer).life = "settled";
  };
  if (protocol.onlyBreaksLocks) {
    emit(`the lock of ${index} is broken`, (next) => {
      if (isLocked) next.lock = NOBODY;
      settled(next);
    });
  } else if (isLocked || (isMine && state.lock === NOBODY)) {
    emit(`the head of ${index} is locked`, (next) => {
      next.lock = SURVIVOR;
      next.settled = index;
      next.settling = isMine ? "decide" : "unlock";
    });
  } else if (!isMine) {
    emit(`${index} is settled`, settled);
  }
}

function emitSettlingLocked(state: HeadState, index: number, protocol: HeadProtocol, emit: Emit): void {
  emit(
    "the survivor dies",
    (next) => {
      // The next one breaks this one's lock, which is the same as if the dead writer still had it.
      next.lock = index;
      next.settling = "nothing";
      next.settled = NOBODY;
    },
    false,
  );
  if (state.settling === "decide") {
    emit(`the head of ${index} is decided`, (next) => {
      if (protocol.settlesToTentative) next.committed = state.tentative;
      else if (!protocol.settlesToCommitted) next.committed = keptVersion(state, index);
      next.settling = "clear";
    });
  } else if (state.settling === "clear") {
    emit(`the head of ${index} is cleared`, (next) => {
      clearTentative(next);
      next.settling = "unlock";
    });
  } else {
    emit(`the head of ${index} is unlocked`, (next) => {
      next.lock = NOBODY;
      next.settling = "nothing";
      next.settled = NOBODY;
      (next.writers[index] as Writer).life = "settled";
    });
  }
}
