/** Opens a ring and does nothing more than argv says: `idle`, or `write FILE`, whose completion it prints. */

import { openSync } from "node:fs";
import { AlignedBuffer, BLOCK_BYTES } from "../../../src/ffi/aligned-buffer.js";
import { isLiburingPresent } from "../../../src/ffi/liburing-driver.js";
import { Ring } from "../../../src/ffi/ring.js";

const ring = Ring.open(isLiburingPresent() ? "liburing" : "syscall");
if (!(ring instanceof Ring)) throw new Error(`${ring.step} refused with ${ring.errno}`);

if (process.argv[2] === "write") {
  const fd = openSync(process.argv[3] as string, "w");
  const buffer = new AlignedBuffer(BLOCK_BYTES);
  ring.write(fd, buffer, 0, BLOCK_BYTES, 0, true, { complete: (result) => console.log(`wrote ${result}`) });
  ring.submit();
}
