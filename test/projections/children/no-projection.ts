/** A module without a projection. */

export const answer = 42;
