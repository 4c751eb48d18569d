/** Stores argv[4] into the 32-bit word at byte argv[3] of the mapped file argv[2], and wakes who sleeps on it. */

import { MappedFile } from "../../../src/ffi/mapped-file.js";
import { wakeSleepers } from "../../../src/ffi/publication.js";

const [, , path, offset, value] = process.argv;
const file = MappedFile.open(path as string);
Atomics.store(file.int32, Number(offset) / 4, Number(value));
wakeSleepers(file, Number(offset));
file.close();
