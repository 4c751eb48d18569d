/** Which writes and flushes of data node:fs was told to do, in their order. */

import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

export type RecordedStep =
  | { readonly kind: "write"; readonly offset: number; readonly bytes: Buffer }
  /** It has succeeded. */
  | { readonly kind: "flush" };

/** Those of all files, so the work is to be on one alone. */
export async function withRecordedWrites<Result>(
  work: () => Promise<Result>,
): Promise<{ readonly result: Result; readonly steps: RecordedStep[] }> {
  const { writeSync, fdatasync } = fs;
  const steps: RecordedStep[] = [];
  const replace = (calls: object): void => {
    Object.assign(fs, calls);
    syncBuiltinESMExports();
  };
  replace({
    writeSync: (fd: number, bytes: Buffer, from: number, length: number, offset: number): number => {
      steps.push({ kind: "write", offset, bytes: Buffer.from(bytes.subarray(from, from + length)) });
      return writeSync(fd, bytes, from, length, offset);
    },
    // Not done, for it takes long: what the disk would have is told by the steps.
    fdatasync: (_fd: number, done: (error: Error | null) => void): void => {
      setImmediate(() => {
        steps.push({ kind: "flush" });
        done(null);
      });
    },
  });
  try {
    return { result: await work(), steps };
  } finally {
    replace({ writeSync, fdatasync });
  }
}
