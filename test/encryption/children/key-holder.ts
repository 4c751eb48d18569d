/**
 * Opens the encrypted store in argv[2] with the key in the file argv[4], as argv[3] says: `file`, `callback`, or `wrong`, which fails. Says
 * `open`, waits for a line, closes it, and says `closed`. With subject keys, in argv[5], it has events of `ann` and `bob`, and between that
 * forgets `ann` and says `forgotten`.
 */

import { once } from "node:events";
import { closeSync, openSync, readSync } from "node:fs";
import { isStoreError, type KeySource, openStore, type Store } from "../../../src/index.js";

const [directory = "", kind = "", path = "", subjectKeys = ""] = process.argv.slice(2);

/** As a key service would give it. */
async function ask(): Promise<Uint8Array> {
  const key = new Uint8Array(32);
  const fd = openSync(path, "r");
  readSync(fd, key);
  closeSync(fd);
  return key;
}

const key: KeySource = kind === "callback" ? ask : { file: path };
let store: Store | null = null;
try {
  store = await openStore(directory, { encryption: { key, ...(subjectKeys !== "" && { subjectKeys }) } });
  for (let index = 0; index < 200; index++) await store.append(`s-${index}`, { type: "Hush", data: { index } });
  if (subjectKeys !== "") {
    for (const subject of ["ann", "bob", "ann"]) await store.append("s", { type: "Hush", data: { subject }, subject });
  }
  await store.checkpoint();
  for await (const _ of store.readAll());
  await store.append("s", { type: "Hush", data: {} });
} catch (error) {
  if (kind !== "wrong" || !isStoreError(error, "ERR_KEY_WRONG")) throw error;
}
process.stdout.write("open\n");
await once(process.stdin, "data");
if (subjectKeys !== "") {
  await store?.forget("ann");
  process.stdout.write("forgotten\n");
  await once(process.stdin, "data");
}
await store?.close();
process.stdout.write("closed\n");
setInterval(() => {}, 1000);
