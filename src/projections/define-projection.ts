/**
 * Projections from handlers by event type: one state over the whole log, or one document for each stream or key. All are plain `Projection`
 * values, which the one runner runs.
 */

import type { EventMap, RecordedEvent } from "../events/index.js";
import { checkOptionNames } from "../events/index.js";
import { decodeDocuments, encodeDocuments } from "./document-codec.js";
import type { Projection } from "./projection.js";
import { codecOf, type StateCodec } from "./state-codec.js";

/** The recorded event of one type of a catalogue. */
export type EventOf<Events extends EventMap, Type extends keyof Events & string> = RecordedEvent<Pick<Events, Type>>;

/** What becomes of a state with an event of each type. Other types are not looked at. */
export type StateHandlers<Events extends EventMap, State> = {
  readonly [Type in keyof Events & string]?: (state: State, event: EventOf<Events, Type>) => State;
};

/** What becomes of a document with an event of each type; null: it is deleted. Other types are not looked at. */
export type DocumentHandlers<Events extends EventMap, Document> = {
  readonly [Type in keyof Events & string]?: (document: Document, event: EventOf<Events, Type>) => Document | null;
};

/** One state, folded from the whole log. */
export interface StateDefinition<Events extends EventMap, State> {
  /** 1 to 64 of `a-z`, `0-9` and `-`; it names the projection's directory. */
  readonly name: string;
  /** A positive integer. Raise it whenever the handlers would fold the same events into another state: that rebuilds it. */
  readonly version: number;
  /** The state before the first event: a new one each time. */
  initial(): State;
  /** By event type: returns the state after the event, a new one or the given one after changing it. */
  readonly on: StateHandlers<Events, State>;
  /** How the state is kept in checkpoints. Default: JSON, which refuses what it cannot hold. */
  readonly codec?: StateCodec<State>;
}

/** A document for each stream. */
export interface SingleStreamDefinition<Events extends EventMap, Document> {
  /** 1 to 64 of `a-z`, `0-9` and `-`; it names the projection's directory. */
  readonly name: string;
  /** A positive integer. Raise it whenever the handlers would fold the same events into other documents: that rebuilds them. */
  readonly version: number;
  /** What the names of the streams begin with: one text or several. Streams beside them are not looked at. */
  readonly streams: string | readonly string[];
  /** The document of a stream before its first event: a new one each time. */
  initial(stream: string): Document;
  /** By event type: returns the document after the event, or null to delete it. */
  readonly on: DocumentHandlers<Events, Document>;
  /** How one document is kept in checkpoints. Default: JSON, which refuses what it cannot hold. */
  readonly codec?: StateCodec<Document>;
}

/** A document for each key that events name. */
export interface MultiStreamDefinition<Events extends EventMap, Document> {
  /** 1 to 64 of `a-z`, `0-9` and `-`; it names the projection's directory. */
  readonly name: string;
  /** A positive integer. Raise it whenever the handlers or `key` would fold the same events into other documents: that rebuilds them. */
  readonly version: number;
  /** The key of the document that an event is for; several keys for several documents, null for none. Called for the types in `on` only. */
  key(event: RecordedEvent<Events>): string | readonly string[] | null;
  /** The document of a key before its first event: a new one each time. */
  initial(key: string): Document;
  /** By event type: returns the document after the event, or null to delete it. */
  readonly on: DocumentHandlers<Events, Document>;
  /** How one document is kept in checkpoints. Default: JSON, which refuses what it cannot hold. */
  readonly codec?: StateCodec<Document>;
}

type Handler<State> = (state: State, event: RecordedEvent) => State;

/**
 * A projection of one state over the whole log, from handlers by event type.
 *
 * @throws TypeError naming what is wrong with the definition
 *
 * @example
 * ```ts
 * const revenue = defineProjection<Shop, { cents: number }>({
 *   name: "revenue",
 *   version: 1,
 *   initial: () => ({ cents: 0 }),
 *   on: { OrderPaid: (state, event) => ({ cents: state.cents + event.data.cents }) },
 * });
 * const { state } = await store.project(revenue);
 * ```
 */
export function defineProjection<Events extends EventMap, State>(
  definition: StateDefinition<Events, State>,
): Projection<State, RecordedEvent<Events>> {
  checkFields(definition, "defineProjection", ["initial"], []);
  const { name, version } = definition;
  const codec = codecOf(definition.codec, "definition.codec");
  const handlers = handlersOf<State>(definition.on);
  return {
    name,
    version,
    handles: [...handlers.keys()],
    init: () => definition.initial(),
    apply: (state, event) => (handlers.get(event.type) as Handler<State>)(state, event as RecordedEvent),
    encode: (state) => codec.encode(state),
    decode: async (chunks) => codec.decode(await joined(chunks)),
  };
}

/**
 * A projection of a document for each stream, by the stream's name. Its state is a map.
 *
 * A handler must leave the document as it was when it throws, or return a new one. That a stream is truncated, deleted or tombstoned changes
 * no document: what was said of it stays said until the projection is rebuilt.
 *
 * @throws TypeError naming what is wrong with the definition
 *
 * @example
 * ```ts
 * const orders = singleStream<Shop, { paid: boolean }>({
 *   name: "orders",
 *   version: 1,
 *   streams: "order-",
 *   initial: () => ({ paid: false }),
 *   on: { OrderPaid: () => ({ paid: true }), OrderRemoved: () => null },
 * });
 * const running = await store.project(orders);
 * running.state.get("order-7")?.paid;
 * ```
 */
export function singleStream<Events extends EventMap, Document>(
  definition: SingleStreamDefinition<Events, Document>,
): Projection<ReadonlyMap<string, Document>, RecordedEvent<Events>> {
  checkFields(definition, "singleStream", ["initial"], ["streams"]);
  const prefixes = prefixesOf(definition.streams);
  const keysOf = ({ stream }: RecordedEvent<Events>): string | null =>
    prefixes.some((prefix) => stream.startsWith(prefix)) ? stream : null;
  const streamOf = (key: string): string => {
    if (prefixes.some((prefix) => key.startsWith(prefix))) return key;
    throw new TypeError(`projection "${definition.name}" looks at no stream of the name "${key}"`);
  };
  return documents(definition, keysOf, streamOf);
}

/**
 * A projection of a document for each key, from events of any stream. Its state is a map. An event for several documents changes all of them, or,
 * when a handler throws, none.
 *
 * A handler must leave the document as it was when it throws, or return a new one.
 *
 * @throws TypeError naming what is wrong with the definition
 *
 * @example
 * ```ts
 * const customers = multiStream<Shop, { orders: number }>({
 *   name: "customers",
 *   version: 1,
 *   key: (event) => (event.type === "OrderPlaced" ? event.data.customer : null),
 *   initial: () => ({ orders: 0 }),
 *   on: { OrderPlaced: (customer) => ({ orders: customer.orders + 1 }) },
 * });
 * ```
 */
export function multiStream<Events extends EventMap, Document>(
  definition: MultiStreamDefinition<Events, Document>,
): Projection<ReadonlyMap<string, Document>, RecordedEvent<Events>> {
  checkFields(definition, "multiStream", ["initial", "key"], []);
  return documents(
    definition,
    (event) => definition.key(event),
    () => null,
  );
}

const LONE_SURROGATE = /\p{Surrogate}/u;

function checkedKey(key: unknown): string {
  if (typeof key !== "string") throw new TypeError(`the key of a document must be a string, not ${typeof key}`);
  // It has no UTF-8, so after a restart it would be another key.
  if (LONE_SURROGATE.test(key)) throw new TypeError("the key of a document has a lone surrogate");
  return key;
}

/** What both kinds of documents have in common. */
interface DocumentsDefinition<Document> {
  readonly name: string;
  readonly version: number;
  initial(key: string): Document;
  readonly on: object;
  readonly codec?: StateCodec<Document>;
}

function documents<Events extends EventMap, Document>(
  definition: DocumentsDefinition<Document>,
  keysOf: (event: RecordedEvent<Events>) => string | readonly string[] | null,
  streamOf: (key: string) => string | null,
): Projection<ReadonlyMap<string, Document>, RecordedEvent<Events>> {
  const { name, version } = definition;
  const codec = codecOf(definition.codec, "definition.codec");
  const handlers = handlersOf<Document | null>(definition.on);

  const next = (state: ReadonlyMap<string, Document>, key: string, event: RecordedEvent<Events>): Document | null => {
    const before = state.get(key) ?? definition.initial(checkedKey(key));
    const after = (handlers.get(event.type) as Handler<Document | null>)(before, event as RecordedEvent);
    if (after === undefined) throw new TypeError(`the handler of ${event.type} returned undefined; null deletes`);
    if (after instanceof Promise) {
      after.catch(() => undefined); // its own failure has no one else to go to, and is not the point
      throw new TypeError(`the handler of ${event.type} returned a promise; it must be synchronous`);
    }
    return after;
  };
  const put = (state: Map<string, Document>, key: string, document: Document | null): void => {
    if (document === null) state.delete(key);
    else state.set(key, document);
  };

  const projection: Projection<Map<string, Document>, RecordedEvent<Events>> = {
    name,
    version,
    handles: [...handlers.keys()],
    init: () => new Map(),
    apply: (state, event) => {
      const keys = keysOf(event);
      if (keys === null) return state;
      if (typeof keys === "string") {
        put(state, keys, next(state, keys, event));
        return state;
      }
      if (!Array.isArray(keys)) {
        throw new TypeError(`key must return a string, an array of strings or null, not ${typeof keys}`);
      }
      // All of them before any is put: a handler that throws leaves everything as it was.
      const changed = Array.from(new Set<string>(keys), (key) => [key, next(state, key, event)] as const);
      for (const [key, document] of changed) put(state, key, document);
      return state;
    },
    encode: (state) => encodeDocuments(state, codec),
    decode: (chunks) => decodeDocuments(chunks, codec),
    documents: {
      streamOf: (key) => streamOf(checkedKey(key)),
      apply: (state, event, key) => {
        const keys = keysOf(event);
        const isOfKey = typeof keys === "string" ? keys === key : keys?.includes(key) === true;
        if (isOfKey) put(state, key, next(state, key, event));
      },
      move: (from, to, key) => put(to, key, from.get(key) ?? null),
    },
  };
  return projection as unknown as Projection<ReadonlyMap<string, Document>, RecordedEvent<Events>>;
}

/** @throws TypeError */
function checkFields(
  definition: object,
  where: string,
  functions: readonly string[],
  otherNames: readonly string[],
): void {
  if (typeof definition !== "object" || definition === null) throw new TypeError("the definition must be an object");
  checkOptionNames(definition, ["name", "version", "on", "codec", ...functions, ...otherNames], where);
  for (const name of functions) {
    const value: unknown = (definition as Record<string, unknown>)[name];
    if (typeof value !== "function") throw new TypeError(`definition.${name} must be a function`);
  }
}

/** @throws TypeError */
function handlersOf<State>(on: object): ReadonlyMap<string, Handler<State>> {
  if (typeof on !== "object" || on === null)
    throw new TypeError("definition.on must be an object of handlers by event type");
  // A map, because an event type may be the name of something that every object has.
  const handlers = new Map(Object.entries(on) as [string, Handler<State>][]);
  if (handlers.size === 0) throw new TypeError("definition.on has no handler: the projection would look at nothing");
  for (const [type, handler] of handlers) {
    if (typeof handler !== "function") throw new TypeError(`definition.on.${type} must be a function`);
  }
  return handlers;
}

/** @throws TypeError */
function prefixesOf(streams: string | readonly string[]): readonly string[] {
  const prefixes: readonly string[] = typeof streams === "string" ? [streams] : streams;
  if (
    !Array.isArray(prefixes) ||
    prefixes.length === 0 ||
    prefixes.some((each) => typeof each !== "string" || each === "")
  ) {
    throw new TypeError(
      "definition.streams must be what the names of streams begin with: a text or several, none of them empty",
    );
  }
  return prefixes;
}

async function joined(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
}
