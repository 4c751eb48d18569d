/** Which stream a record belongs to, and its version there: what the log asks of those who know its records. */

import type { KeyOf } from "../wal/index.js";
import { EnvelopeView } from "./envelope.js";

export function envelopeKey(): KeyOf {
  const view = new EnvelopeView();
  return (body, start, end) => {
    view.decode(body, start, end);
    return { nameStart: view.streamStart, nameEnd: view.streamEnd, version: view.version };
  };
}
