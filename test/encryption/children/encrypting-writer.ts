/** Appends to the encrypted store in argv[2] until it is killed, with checkpoints now and then, and a change of keys where argv[3] says so. */

import { openStore } from "../../../src/index.js";
import { keyOf } from "../support.js";

const [directory = "", rotates] = process.argv.slice(2);
const encryption = { key: keyOf(1), otherKeys: [keyOf(2)] };
const store = await openStore(directory, { encryption, segmentBytes: 64 * 1024 });
process.stdout.write("ready\n");
if (rotates === "rotates") await store.rotateKey(keyOf(2));
for (let index = 0; ; index++) {
  await store.append(`stream-${process.pid}-${index % 5}`, { type: "Hush", data: { index, text: "x".repeat(500) } });
  if (index % 40 === 39) await store.checkpoint();
}
