/** The thread that makes checkpoints of the logs of these tests. */

import { serveSealing } from "../../../src/wal/seal-worker.js";
import { keyOf } from "./log-fixture.js";

await serveSealing(keyOf);
