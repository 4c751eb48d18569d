/** Memory that several threads take for the control file, without a file. */

import { controlBytes, SLOT_COUNT_MAX, WORD } from "../../../src/wal/control-layout.js";
import type { SharedWords } from "../../../src/wal/lanes.js";

export interface LanesOrder {
  readonly memory: SharedArrayBuffer;
  /** By LSN: 1 when it is durable. */
  readonly durable: Uint8Array;
  readonly slot: number;
  /** One word: other than 0 when the writers are to end. */
  readonly stop: Int32Array;
}

export function sharedLanes(memory: SharedArrayBuffer): SharedWords {
  return { int32: new Int32Array(memory), float64: new Float64Array(memory), bigint64: new BigInt64Array(memory) };
}

/** As if all slots had been attached: whoever computes W looks at the lanes of those who write first, and is not done for a while. */
export function newSharedLanes(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(controlBytes(SLOT_COUNT_MAX));
  sharedLanes(memory).int32[WORD.attached] = SLOT_COUNT_MAX;
  return memory;
}
