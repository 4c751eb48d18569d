/** What the work leaves on the disk, and what is seen of it after a cut. */

export const STORE = "store";
/** Also the name under which a backup is acknowledged: no append has it. */
export const BACKUP = "backup";
/** The file of the subjects' keys. */
export const SUBJECT_KEYS = "subjects";

export type WorkName = "appends" | "subjects";

export interface Finding {
  readonly isTorn: boolean;
  readonly unacknowledgedCount: number;
}

/**
 * Opens the store that a cut has left and judges what is there, by the marks that came before the cut. `number`: of this look.
 *
 * @throws Error that says what is not as promised
 */
export type Look = (place: string, marks: readonly string[], number: number) => Promise<Finding>;
