/** What a test file tells the runner when it ends: one JSON line on a file descriptor of its own. */

export interface FileSummary {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: readonly string[];
  /** What is wrong with the file as a whole: nothing was declared, or something kept it alive. Null when all is well. */
  readonly fault: string | null;
}

/** The environment variable that names the file descriptor. A test's own children never see it. */
export const SUMMARY_FD_VARIABLE = "VARVE_TEST_SUMMARY_FD";
