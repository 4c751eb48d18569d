/** Given, when, then: specifications of deciders and projections, for any test framework or none. Imported as `varve/specification`. */

export {
  type DeciderSpecification,
  type DecisionSpecification,
  type GivenSpecification,
  specifyDecider,
} from "./decider-specification.js";
export type { GivenEvent } from "./given-events.js";
export {
  type ProjectionSpecification,
  type StateSpecification,
  specifyProjection,
} from "./projection-specification.js";
export type { ErrorMatcher } from "./thrown.js";
