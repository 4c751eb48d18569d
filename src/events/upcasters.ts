/**
 * Events of older shapes, read in the newest one.
 *
 * An event says its schema's version in the name of its type: a plain name is version 1, `OrderPlaced.v3` is version 3. The name is written by the
 * store, from the number of upcasters that the type has, and never seen by who reads: so nobody can forget it, none runs twice, and the log says by
 * itself what each event is. In the metadata it would cost a decoding of each event's metadata; here it is looked up with the type's name.
 *
 * This is the one place where versions are known: `EventDecoder` asks what a stored name is, `EventPreparer` what to store.
 */

import { StoreError } from "../errors.js";
import type { RecordedEvent } from "./event.js";

/** What an upcaster may look at besides the data. */
export type UpcastEvent = Pick<RecordedEvent, "id" | "stream" | "version" | "lsn" | "recordedAt" | "metadata">;

// As a method, whose parameters TypeScript compares both ways: so that each upcaster can say which data it takes.
type UpcastMethod = { upcast(data: unknown, event: UpcastEvent): unknown }["upcast"];

/**
 * Makes the data of one version's events into that of the next version. It depends on nothing else, throws nothing, and returns the new data; it may
 * change the data that it was given.
 */
export type Upcaster = UpcastMethod;

/** By event type, from version 1 to 2, from 2 to 3, and so on. The type's version is one more than it has upcasters. */
export type Upcasters = Readonly<Record<string, readonly Upcaster[]>>;

/** What a stored name of a type means. */
export interface TypeReading {
  /** The name without a version. */
  readonly type: string;
  /** What is still to be done to the data. */
  readonly steps: readonly Upcaster[];
  /** The version it was written with. */
  readonly version: number;
  /** False: the version is newer than what is known. */
  readonly isKnown: boolean;
}

const VERSIONED = /^(.+)\.v([1-9][0-9]{0,8})$/s;
const OWN_TYPES = "varve.v1.";
const NO_STEPS: readonly Upcaster[] = [];

export class UpcasterRegistry {
  readonly #chains: ReadonlyMap<string, readonly Upcaster[]>;

  /** @throws TypeError naming what is wrong */
  constructor(upcasters: Upcasters = {}) {
    if (typeof upcasters !== "object" || upcasters === null) {
      throw new TypeError("option upcasters must be an object of arrays by event type");
    }
    this.#chains = new Map(Object.entries(upcasters).map(([type, chain]) => [type, checkedChain(type, chain)]));
  }

  /** What events are that were stored under this name. */
  readingOf(stored: string): TypeReading {
    const plain = this.#chains.get(stored);
    if (plain !== undefined) return { type: stored, steps: plain, version: 1, isKnown: true };
    const [, type = "", digits] = (this.#chains.size > 0 && VERSIONED.exec(stored)) || [];
    const chain = this.#chains.get(type);
    if (chain === undefined) return { type: stored, steps: NO_STEPS, version: 1, isKnown: true };
    const version = Number(digits);
    return { type, steps: chain.slice(version - 1), version, isKnown: version <= chain.length + 1 };
  }

  /**
   * The name under which events of this type are stored now.
   *
   * @throws StoreError `ERR_EVENTS_INVALID_EVENT` for a name that says a version: that is the store's to write
   */
  storedNameOf(type: string): string {
    const chain = this.#chains.get(type);
    if (chain !== undefined) return chain.length === 0 ? type : `${type}.v${chain.length + 1}`;
    const reading = this.readingOf(type);
    if (reading.type === type) return type;
    const message = `event type ${type}: the version is not part of the name; append it as ${reading.type}`;
    throw new StoreError("ERR_EVENTS_INVALID_EVENT", message, { type });
  }
}

/**
 * The data of an event in its type's newest version; `decode` gives it as it was stored.
 *
 * @throws StoreError `ERR_EVENTS_UNKNOWN_VERSION`, `ERR_EVENTS_UPCAST`
 */
export function upcast(reading: TypeReading, event: UpcastEvent, decode: () => unknown): unknown {
  const { type, steps, version } = reading;
  const { lsn, stream } = event;
  if (!reading.isKnown) {
    const message = `the event with LSN ${lsn} is a ${type} of version ${version}, which only a newer program reads`;
    throw new StoreError("ERR_EVENTS_UNKNOWN_VERSION", message, { lsn, stream, type, version });
  }
  let data = decode();
  for (const [index, step] of steps.entries()) {
    const from = version + index;
    const failure = (reason: string, cause?: unknown): StoreError => {
      const message = `the upcaster of ${type} from version ${from} to ${from + 1} failed at LSN ${lsn}: ${reason}`;
      return new StoreError("ERR_EVENTS_UPCAST", message, { lsn, stream, type, version: from }, { cause });
    };
    try {
      data = step(data, event);
    } catch (cause) {
      throw failure(cause instanceof Error ? cause.message : String(cause), cause);
    }
    if (data === undefined) throw failure("it returned undefined");
    if (data instanceof Promise) {
      data.catch(() => undefined); // its own failure has no one else to go to, and is not the point
      throw failure("it returned a promise; it must be synchronous");
    }
  }
  return data;
}

function checkedChain(type: string, chain: unknown): readonly Upcaster[] {
  if (type === "" || VERSIONED.test(type)) {
    throw new TypeError(`option upcasters: name the event type without a version, not "${type}"`);
  }
  if (type.startsWith(OWN_TYPES)) throw new TypeError(`option upcasters: ${type} is Varve's own`);
  if (!Array.isArray(chain) || chain.some((step) => typeof step !== "function")) {
    throw new TypeError(`option upcasters.${type} must be an array of functions`);
  }
  return [...(chain as Upcaster[])];
}
