/** A peer that repeats its task and every order, and does what some of them say. */

import { servePeer } from "../../../src/cli/peer-parent.js";
import { StoreError } from "../../../src/errors.js";

await servePeer<string, string, string>(async (task, parent) => {
  parent.tell(`task ${task}`);
  for (;;) {
    const order = await parent.next();
    if (order === "end") return;
    if (order === "refuse") throw new StoreError("ERR_STORE_LOCKED", "as asked", { directory: "there" });
    if (order === "throw") throw new RangeError("as asked");
    if (order === "exit") process.exit(3);
    parent.tell(`order ${order}`);
  }
});
