/**
 * Puts a file in place: `putting-process.js <place> <letter> <times>` as often as it says. Without `<times>` it says that it has begun, and never ends.
 */

import { putFile } from "../../../src/projections/temporary-file.js";

const [place = "", letter = "", times] = process.argv.slice(2);
if (times === undefined) {
  setInterval(() => undefined, 1000);
  await putFile(place, async (handle) => {
    await handle.writeFile("half");
    process.stdout.write("begun\n");
    await new Promise(() => undefined);
  });
}
for (let time = 0; time < Number(times); time += 1)
  await putFile(place, (handle) => handle.writeFile(letter.repeat(9999)));
