/**
 * Power cuts by themselves: `npm run power-cut -- [--states 500] [--file-system ext4|xfs] [--subjects] [--seed N]`. With `--subjects` the work is
 * events of subjects, some of whom are forgotten. Exit code 1 when anything fails.
 */

import { parseArgs } from "node:util";
import { runPowerCuts } from "./power-cut-run.js";
import { FILE_SYSTEMS, type FileSystem, recordingDiskProblem } from "./recording-disk.js";

const { values } = parseArgs({
  options: {
    states: { type: "string", default: "500" },
    "file-system": { type: "string", default: "ext4" },
    subjects: { type: "boolean", default: false },
    seed: { type: "string" },
    writer: { type: "string" },
  },
});
const states = Number(values.states);
if (!Number.isSafeInteger(states) || states < 1) throw new TypeError(`--states takes a count, not "${values.states}"`);
const fileSystem = values["file-system"] as FileSystem;
if (!FILE_SYSTEMS.includes(fileSystem)) throw new TypeError(`--file-system is one of ${FILE_SYSTEMS.join(", ")}`);

const problem = recordingDiskProblem(fileSystem);
if (problem !== null) {
  console.log(`skipped: ${problem}`);
} else {
  const report = await runPowerCuts({
    fileSystem,
    states,
    work: values.subjects ? "subjects" : "appends",
    ...(values.seed === undefined ? {} : { seed: Number(values.seed) }),
    ...(values.writer === undefined ? {} : { writer: values.writer }),
    onState: (done, of) => {
      if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${of} states`);
    },
  });
  if (process.stderr.isTTY) process.stderr.write("\n");
  console.log(JSON.stringify(report));
  process.exitCode = report.failures.length === 0 ? 0 : 1;
}
