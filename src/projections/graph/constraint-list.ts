/** The constraints that hold: each was added by an event, and holds until another removes it. */

import type { StoreErrorCode } from "../../errors.js";
import { type GraphConstraint, sameConstraint, targetOf } from "./constraint-events.js";
import type { EntityKind } from "./graph-event-kind.js";

/** A constraint and the LSN of the event that added it. */
export interface AddedConstraint extends GraphConstraint {
  readonly addedBy: number;
}

export const CONSTRAINTS_MAX = 1000;

const NONE: readonly AddedConstraint[] = [];

export class ConstraintList {
  /** By label, in the order in which they were added. */
  readonly #byLabel: Readonly<Record<EntityKind, Map<string, readonly AddedConstraint[]>>> = {
    node: new Map(),
    edge: new Map(),
  };
  #all: readonly AddedConstraint[] = NONE;

  get count(): number {
    return this.#all.length;
  }

  /** In the order in which they were added. */
  list(): readonly AddedConstraint[] {
    return this.#all;
  }

  of(entity: EntityKind, label: string): readonly AddedConstraint[] {
    return this.#byLabel[entity].get(label) ?? NONE;
  }

  /** Whether any is about such entities. */
  isAbout(entity: EntityKind): boolean {
    return this.#byLabel[entity].size > 0;
  }

  /** Of nodes, and by itself. */
  isUnique(label: string, property: string): boolean {
    return this.of("node", label).some((each) => each.kind === "unique" && each.property === property);
  }

  /** Why it cannot be added, whatever the nodes hold, or null. */
  judgeAdding(constraint: GraphConstraint): StoreErrorCode | null {
    if (this.#find(constraint) !== undefined) return "ERR_GRAPH_CONSTRAINT_EXISTS";
    return this.count >= CONSTRAINTS_MAX ? "ERR_GRAPH_FULL" : null;
  }

  judgeRemoval(constraint: GraphConstraint): StoreErrorCode | null {
    return this.#find(constraint) === undefined ? "ERR_GRAPH_CONSTRAINT_NOT_FOUND" : null;
  }

  add(constraint: AddedConstraint): void {
    this.#all = [...this.#all, constraint];
    const { entity, label } = targetOf(constraint);
    this.#byLabel[entity].set(label, [...this.of(entity, label), constraint]);
  }

  remove(constraint: GraphConstraint): void {
    const removed = this.#find(constraint);
    this.#all = this.#all.filter((each) => each !== removed);
    const { entity, label } = targetOf(constraint);
    const left = this.of(entity, label).filter((each) => each !== removed);
    if (left.length > 0) this.#byLabel[entity].set(label, left);
    else this.#byLabel[entity].delete(label);
  }

  #find(constraint: GraphConstraint): AddedConstraint | undefined {
    const { entity, label } = targetOf(constraint);
    return this.of(entity, label).find((each) => sameConstraint(each, constraint));
  }
}
