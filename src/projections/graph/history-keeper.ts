/**
 * Moves superseded versions into files before the graph is saved, opens those files with a checkpoint, and removes them when no checkpoint names them.
 *
 * 1. The file is written, synced and renamed, and the directory synced (checkpoint-file.ts). Killed before, there is at most a temporary file.
 * 2. It is opened, and memory lets go of what is in it. Killed from here on, the former checkpoint has all of that; no checkpoint names the file.
 * 3. The checkpoint is written, whole, and names it.
 * 4. What it does not name is removed, but for what another process has open.
 */

import { randomUUID } from "node:crypto";
import { StoreError } from "../../errors.js";
import { CheckpointDirectory } from "../checkpoint-directory.js";
import type { CheckpointFacts } from "../checkpoint-format.js";
import type { EventFeed } from "../event-feed.js";
import { GRAPH_PROJECTION } from "./graph-projection.js";
import type { GraphState } from "./graph-state.js";
import { HistoryFile, writeHistoryFile } from "./history-file.js";
import type { HistorySource } from "./history-files.js";
import { giveUpMoved, type HistoryMove, pagesToMove, planMove } from "./history-move.js";
import type { RawEvent } from "./raw-event.js";

const DAY_US = 24 * 3600 * 1e6;
/** Another process can take a file that no checkpoint names yet for a leftover. */
const TRIES_MAX = 5;

export class HistoryKeeper {
  readonly #feed: EventFeed<RawEvent>;
  readonly #directory: CheckpointDirectory;
  /** Null: nothing is moved. */
  readonly #inMemoryDays: number | null;
  readonly #open = new Set<HistoryFile>();
  /** Called with what could not be read, once for each state that has it. */
  onDamage: (error: StoreError) => void = () => undefined;

  constructor(feed: EventFeed<RawEvent>, inMemoryDays: number | null) {
    this.#feed = feed;
    this.#inMemoryDays = inMemoryDays;
    this.#directory = new CheckpointDirectory(feed.directory, GRAPH_PROJECTION.name);
  }

  /** Opens a file that a checkpoint names. Throws where it cannot be used. */
  open(id: string, pages: number): HistorySource {
    const file = HistoryFile.open(this.#pathOf(id), id, pages, this.#feed.stateCiphers ?? null);
    this.#open.add(file);
    return file;
  }

  /** Has a state of this process tell of what it cannot read. */
  attend(state: GraphState): GraphState {
    state.tables.history.onDamage = (error) => this.onDamage(error);
    return state;
  }

  /** Moves what is old enough, if it is enough. Rejects when it cannot be written: then nothing was moved. */
  async beforeSave({ tables }: GraphState, facts: CheckpointFacts): Promise<void> {
    const { clock, history } = tables;
    if (history.isUncertain)
      throw new StoreError(
        "ERR_GRAPH_HISTORY",
        "a purge could not read the graph's history: the graph is rebuilt first",
        {},
      );
    const days = this.#inMemoryDays;
    const move = planMove(tables, days === null ? null : clock.lsnAt(clock.time - days * DAY_US));
    if (move === null) return;
    const source = await this.#write(tables, move, facts);
    giveUpMoved(tables, move, source);
  }

  /** Removes the files that the checkpoint, which was just written, does not name. */
  async afterSave({ tables }: GraphState): Promise<void> {
    const named = new Set(tables.history.sources.map(({ id }) => this.#pathOf(id)));
    const unnamed = (await this.#directory.states()).filter(
      ({ kind, version, path }) => kind === "history" && version === GRAPH_PROJECTION.version && !named.has(path),
    );
    await this.#directory.removeUnused(unnamed.map(({ path }) => path));
  }

  /** Closes the files of all states but this one: nothing of the others is to be read any more. */
  closeAllBut({ tables }: GraphState): void {
    const kept: readonly HistorySource[] = tables.history.sources;
    for (const file of this.#open) {
      if (kept.includes(file)) continue;
      file.close();
      this.#open.delete(file);
    }
  }

  close(): void {
    for (const file of this.#open) file.close();
    this.#open.clear();
  }

  async #write(tables: GraphState["tables"], move: HistoryMove, facts: CheckpointFacts): Promise<HistorySource> {
    for (let tries = 1; ; tries++) {
      const id = randomUUID();
      try {
        const pages = pagesToMove(tables, move);
        const count = await writeHistoryFile(this.#pathOf(id), id, facts, pages, this.#feed.stateCiphers ?? null);
        return this.open(id, count);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT" || tries === TRIES_MAX) throw error;
      }
    }
  }

  #pathOf(id: string): string {
    return this.#directory.historyOf(GRAPH_PROJECTION.version, id);
  }
}
