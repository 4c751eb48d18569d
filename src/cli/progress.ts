/** Progress of long work, on stderr and only when that is a terminal. */

import ora from "ora";

const REDRAW_MS = 100;

export interface Progress {
  /** Says how far the work is. The text is made only when it is shown. */
  update(text: () => string): void;
  /** Removes the line. */
  stop(): void;
}

export function startProgress(stream: NodeJS.WriteStream, firstText: string): Progress {
  // A terminal without a width (a pty that nobody gave a size) would have ora erase infinitely many lines.
  if (stream.isTTY !== true || !(stream.columns > 0)) return { update: () => {}, stop: () => {} };
  // With discardStdin ora would put the terminal into raw mode, and Ctrl-C would no longer be a signal.
  // Whether to draw is decided above; ora would also look at the environment, for CI.
  const spinner = ora({ stream, text: firstText, discardStdin: false, isEnabled: true }).start();
  let drawnAtMs = performance.now();
  return {
    update: (text) => {
      const nowMs = performance.now();
      if (nowMs - drawnAtMs < REDRAW_MS) return;
      drawnAtMs = nowMs;
      spinner.text = text();
    },
    stop: () => {
      spinner.stop();
    },
  };
}

/** A count with separators between the thousands, the same in every locale. */
export function formatCount(count: number): string {
  return Math.round(count).toLocaleString("en-US");
}
