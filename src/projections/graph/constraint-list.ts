/** The constraints that hold: each was added by an event, and holds until another removes it. */

import type { StoreErrorCode } from "../../errors.js";
import type { GraphConstraint } from "./constraint-events.js";

/** A constraint and the LSN of the event that added it. */
export interface AddedConstraint extends GraphConstraint {
  readonly addedBy: number;
}

export const CONSTRAINTS_MAX = 1000;

const NONE: readonly AddedConstraint[] = [];

export class ConstraintList {
  /** By label, in the order in which they were added. */
  readonly #byLabel = new Map<string, readonly AddedConstraint[]>();
  #all: readonly AddedConstraint[] = NONE;

  get count(): number {
    return this.#all.length;
  }

  /** In the order in which they were added. */
  list(): readonly AddedConstraint[] {
    return this.#all;
  }

  of(label: string): readonly AddedConstraint[] {
    return this.#byLabel.get(label) ?? NONE;
  }

  isUnique(label: string, property: string): boolean {
    return this.of(label).some((each) => each.kind === "unique" && each.property === property);
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
    this.#byLabel.set(constraint.label, [...this.of(constraint.label), constraint]);
  }

  remove(constraint: GraphConstraint): void {
    const removed = this.#find(constraint);
    this.#all = this.#all.filter((each) => each !== removed);
    this.#byLabel.set(
      constraint.label,
      this.of(constraint.label).filter((each) => each !== removed),
    );
  }

  #find({ kind, label, property }: GraphConstraint): AddedConstraint | undefined {
    return this.of(label).find((each) => each.kind === kind && each.property === property);
  }
}
