/** Salvaging: the event types that come with Varve, and what is intact of a store. */

import { type SalvageOptions, type SalvageReport, salvageWith } from "../events/index.js";
import { graphEventCodecs } from "./graph/graph-event-codec.js";

/**
 * Reads every intact event of a store however damaged it is, each once, and says what could not be read. Writes nothing.
 *
 * Needs no manifest, no lock and no index: it goes through all files and believes checksums only. Of a damaged frame or block the records are
 * read that still hold their own. Events that were truncated or deleted but are still in the files are read too. Two things are guessed without
 * a manifest: where a recovery cut the log (then: where the next one went on), and which LSNs a dead writer left void (then: none, so that
 * an event that was never acknowledged can be among them).
 *
 * Of an encrypted store, what holds its checksum and not its authentication tag is named as `tampered` and not read; of a damaged frame or
 * block nothing can be read then, for only the tag of the whole proves a record.
 *
 * @throws TypeError for a wrong argument or option
 * @throws StoreError `ERR_STORE_NOT_FOUND` when the directory has no file of a store; `ERR_KEY_MISSING` and
 *   `ERR_KEY_WRONG` before any event is told; `ERR_IO_FAILED` when it cannot be listed
 * @throws what `onEvent` throws
 *
 * @example
 * ```ts
 * const report = await salvageStore("./damaged", { onEvent: (event) => console.log(JSON.stringify(event)) });
 * console.log(report.events, report.lost);
 * ```
 */
export function salvageStore(directory: string, options: SalvageOptions = {}): Promise<SalvageReport> {
  return salvageWith(directory, options, graphEventCodecs);
}
