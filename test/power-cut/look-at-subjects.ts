/**
 * What must be there of subjects: who was acknowledged as forgotten stays so, who was not asked for is read, and who was asked for and not
 * acknowledged is one of both, in all events alike, whoever reads and however often.
 */

import { join } from "node:path";
import { openReader, openStore, type RecordedEvent, type Store } from "../../src/index.js";
import { type Finding, type Look, STORE, SUBJECT_KEYS } from "./power-cut-place.js";
import {
  ASKED,
  EVENT_TYPE,
  FORGOT,
  idOf,
  inputOf,
  nameOf,
  optionsOf,
  SAID,
  saidEventOf,
  textOf,
} from "./subject-plan.js";

/** Behind all that the work says. */
const LATER = 100;

class SubjectOracle {
  readonly #saidAt = new Map<string, number>();
  readonly #asked = new Map<string, number>();
  readonly #forgot = new Map<string, number>();
  /** Whether the events of the round that is in doubt are readable; it does not change any more. */
  readonly #settled = new Map<string, boolean>();

  constructor(marks: readonly string[]) {
    for (const mark of marks) {
      const [what, name = "", lsn] = mark.split(" ");
      if (what === SAID) this.#saidAt.set(name, Number(lsn));
      else if (what === ASKED) this.#asked.set(name, this.asked(name) + 1);
      else if (what === FORGOT) this.#forgot.set(name, this.#forgotten(name) + 1);
    }
  }

  said(id: string, lsn: number): void {
    this.#saidAt.set(id, lsn);
  }

  asked(subject: string): number {
    return this.#asked.get(subject) ?? 0;
  }

  #forgotten(subject: string): number {
    return this.#forgot.get(subject) ?? 0;
  }

  /** A subject is forgotten by who looks. */
  forgot(subject: string): void {
    this.#asked.set(subject, this.asked(subject) + 1);
    this.#forgot.set(subject, this.asked(subject));
    this.#settled.delete(subject);
  }

  get subjectInDoubt(): string | undefined {
    return [...this.#asked.keys()].find((subject) => this.asked(subject) > this.#forgotten(subject));
  }

  /** Judges what was read. Returns how many events are there that nobody was told of. */
  check(events: readonly RecordedEvent[]): number {
    const found = new Map<string, number>();
    for (const event of events) {
      if (event.type !== EVENT_TYPE) continue;
      this.#checkEvent(event);
      found.set(event.id, event.lsn);
    }
    for (const [id, lsn] of this.#saidAt) {
      if (found.get(id) !== lsn) throw new Error(`${id} was acknowledged with LSN ${lsn}, and is at ${found.get(id)}`);
    }
    return [...found.keys()].filter((id) => !this.#saidAt.has(id)).length;
  }

  #checkEvent({ id, data, forgotten, lsn }: RecordedEvent): void {
    const { subject, round } = saidEventOf(id);
    if (!forgotten && (data as { text?: string }).text !== textOf(id)) throw new Error(`${id} says something else`);
    if (round < this.#forgotten(subject)) {
      if (!forgotten) throw new Error(`${subject} was forgotten, and ${id} is read at LSN ${lsn}`);
    } else if (round >= this.asked(subject)) {
      if (forgotten) throw new Error(`nobody asked for it, and ${id} at LSN ${lsn} is forgotten`);
    } else {
      const before = this.#settled.get(subject);
      if (before !== undefined && before !== !forgotten) throw new Error(`${subject} is half forgotten, at ${id}`);
      this.#settled.set(subject, !forgotten);
    }
  }
}

async function read(source: Pick<Store, "readAll">): Promise<RecordedEvent[]> {
  const events: RecordedEvent[] = [];
  for await (const event of source.readAll()) events.push(event);
  return events;
}

/** Opens the store, judges what is there, goes on with some subjects, and judges what a reader and the next opening find then. */
export const lookAtSubjects: Look = async (place, marks, number) => {
  const directory = join(place, STORE);
  const oracle = new SubjectOracle(marks);
  const options = optionsOf(join(place, SUBJECT_KEYS), true);
  let finding: Finding;
  const store = await openStore(directory, options);
  try {
    const unacknowledgedCount = oracle.check(await read(store));
    finding = { isTorn: store.recovery.tornAt !== null, unacknowledgedCount };
    const subject = oracle.subjectInDoubt ?? nameOf(number);
    await store.forget(subject);
    oracle.forgot(subject);
    for (const name of [subject, `new-${number}`]) {
      const event = { subject: name, round: oracle.asked(name), number: LATER };
      const { lsn } = await store.append(`about-${name}`, inputOf(event));
      oracle.said(idOf(event), lsn);
    }
    oracle.check(await read(store));
  } finally {
    await store.close();
  }
  const { encryption } = options;
  const reader = await openReader(directory, { encryption });
  try {
    oracle.check(await read(reader));
  } finally {
    await reader.close();
  }
  return finding;
};
