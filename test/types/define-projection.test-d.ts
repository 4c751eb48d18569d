/** What the compiler knows of an event from its type's name, and what it refuses. Compiled with everything else, never run. */

import {
  type Aggregate,
  defineProjection,
  multiStream,
  type RecordedEvent,
  type Store,
  singleStream,
} from "../../src/index.js";

type Shop = { Placed: { customer: string }; Paid: { cents: number }; Removed: undefined };
type Order = { customer: string; cents: number };

export async function kinds(store: Store<Shop>, other: Store<{ Else: number }>): Promise<void> {
  const revenue = defineProjection<Shop, { cents: number }>({
    name: "revenue",
    version: 1,
    initial: () => ({ cents: 0 }),
    on: { Paid: (state, event) => ({ cents: state.cents + event.data.cents }) },
  });
  const total: number = (await store.project(revenue)).state.cents;
  const orders = singleStream<Shop, Order>({
    name: "orders",
    version: 1,
    streams: "order-",
    initial: () => ({ customer: "", cents: 0 }),
    on: {
      Placed: (order, { data, stream }) => ({ ...order, customer: data.customer + stream }),
      Removed: () => null,
    },
  });
  const order: Order | undefined = (await store.project(orders)).state.get("order-1");
  // @ts-expect-error: the documents are to be read
  (await store.project(orders)).state.set("order-1", order);
  // @ts-expect-error: a projection over another catalogue
  await other.project(orders);

  multiStream<Shop, { count: number }>({
    name: "customers",
    version: 1,
    key: (event) => (event.type === "Placed" ? event.data.customer : null),
    initial: () => ({ count: total }),
    on: { Placed: ({ count }) => ({ count: count + 1 }) },
  });
  defineProjection<Shop, number>({
    name: "n",
    version: 1,
    initial: () => 0,
    // @ts-expect-error: a type that is not in the catalogue
    on: { Plaecd: (state) => state },
  });
  defineProjection<Shop, number>({
    name: "n",
    version: 1,
    initial: () => 0,
    // @ts-expect-error: the data of another type
    on: { Paid: (state, event) => state + event.data.customer.length },
  });
  // @ts-expect-error: null is no state
  defineProjection<Shop, number>({ name: "n", version: 1, initial: () => 0, on: { Paid: () => null } });
}

export async function aggregates(store: Store<Shop>): Promise<number> {
  const order: Aggregate<Order, RecordedEvent<Shop>> = {
    initial: () => ({ customer: "", cents: 0 }),
    evolve: (state, event) => (event.type === "Paid" ? { ...state, cents: event.data.cents } : state),
  };
  const { state, version } = await store.aggregateStream("order-1", order);
  // The fold of an aggregate is a handler of a projection, too.
  singleStream<Shop, Order>({
    name: "o",
    version: 1,
    streams: "order-",
    initial: order.initial,
    on: { Paid: order.evolve },
  });
  return state.cents + version;
}
