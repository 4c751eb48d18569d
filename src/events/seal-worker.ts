/** The thread that makes checkpoints of a log of events. */

import { serveSealing } from "../wal/index.js";
import { envelopeKey } from "./envelope-key.js";

await serveSealing(envelopeKey());
