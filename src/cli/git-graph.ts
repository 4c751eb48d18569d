/**
 * What a first-parent history is as a bi-temporal graph.
 *
 * | entity | key | properties | valid |
 * |---|---|---|---|
 * | node `Commit` | hash | `hash`, `subject` | from `at` |
 * | node `Person` | author's email | `email`, `name` (patched when it changes) | from the `at` of the first commit |
 * | node `File` | path | `path` | from each `at` that adds it to the `at` that removes it |
 * | edge `AUTHORED` | person → commit | | from the author's date |
 * | edge `PARENT` | commit → commit | | from `at` |
 * | edge `TOUCHED` | commit → file | | from `at`, while the file exists |
 * | edge `LAST_CHANGED_BY` | file → person | `commit` | from `at` to the next change by someone else |
 *
 * `at` is the greatest committer date up to this commit, so that time never runs backwards along the chain. A date that
 * git cannot read counts as the one before. PARENT leads to those parents that are in the chain: always the first, the
 * others only where they are, for what a merge brought in is no part of a first-parent history.
 *
 * The same class plans new commits and folds the events of earlier ones; both lead to the same state, which is what makes
 * an import resumable from its own stream.
 */

import { StoreError } from "../errors.js";
import type { GitCommit, PathChange } from "./git-log-parser.js";

/** An event of the importer, ready to be appended. */
export type GitGraphEvent = {
  readonly type: GitGraphEventType;
  readonly data: GitGraphData;
  readonly metadata?: { readonly commit: string };
};

type GitGraphEventType =
  | "varve.v1.NodeCreated"
  | "varve.v1.NodePatched"
  | "varve.v1.NodeDeleted"
  | "varve.v1.EdgeCreated"
  | "varve.v1.EdgePatched"
  | "varve.v1.EdgeDeleted";

interface GitGraphData {
  readonly id: number;
  readonly validFrom: number;
  readonly label?: string;
  readonly properties?: Readonly<Record<string, string>>;
  readonly source?: number;
  readonly target?: number;
  readonly detach?: boolean;
}

/** What `fold` needs of a recorded event. */
export interface FoldableEvent {
  readonly type: string;
  readonly data: unknown;
  readonly stream: string;
  readonly version: number;
}

/** Where ids come from. Enough of them must have been reserved before `plan` is called; `idsNeeded` says how many. */
export interface GitGraphIds {
  nextNodeId(): number;
  nextEdgeId(): number;
}

interface FileState {
  readonly nodeId: number;
  exists: boolean;
  lastChangeEdgeId: number;
  lastChangePersonId: number;
}

interface PersonState {
  readonly nodeId: number;
  name: string;
}

// The last whole second of the safe range of µs, in the year 2255. Dates beyond it are broken clocks.
const SECONDS_MAX = Math.floor(Number.MAX_SAFE_INTEGER / 1_000_000);
const TEXT_CHARACTERS_MAX = 8_192;
const NO_EDGE = 0;

/** How many ids planning the commit takes at most. */
export function idsNeeded(commit: GitCommit): { readonly nodes: number; readonly edges: number } {
  return { nodes: 2 + commit.changes.length, edges: 1 + commit.parents.length + 2 * commit.changes.length };
}

export class GitGraph {
  readonly #commits = new Map<string, number>();
  readonly #people = new Map<string, PersonState>();
  readonly #peopleById = new Map<number, PersonState>();
  readonly #files = new Map<string, FileState>();
  readonly #filesById = new Map<number, FileState>();
  #firstCommit: string | null = null;
  #lastCommit: string | null = null;
  #atUs = Number.NEGATIVE_INFINITY;

  /** The root of the chain, or null before the first commit. */
  get firstCommit(): string | null {
    return this.#firstCommit;
  }

  /** The newest commit, or null before the first commit. */
  get lastCommit(): string | null {
    return this.#lastCommit;
  }

  get commitCount(): number {
    return this.#commits.size;
  }

  /** The greatest committer date so far in µs, or null before the first commit. */
  get atUs(): number | null {
    return this.#lastCommit === null ? null : this.#atUs;
  }

  /** Takes up one more commit of the chain and returns its events, the commit's own node first. */
  plan(commit: GitCommit, ids: GitGraphIds): GitGraphEvent[] {
    const events: GitGraphEvent[] = [];
    const validFrom = Math.max(this.#atUs, commit.committerDateS === null ? 0 : microseconds(commit.committerDateS));
    const commitId = ids.nextNodeId();
    events.push({
      type: "varve.v1.NodeCreated",
      data: {
        id: commitId,
        label: "Commit",
        properties: { hash: commit.hash, subject: shorten(commit.subject) },
        validFrom,
      },
      metadata: { commit: commit.hash },
    });
    this.#addCommit(commit.hash, commitId, validFrom);

    const personId = this.#planAuthor(commit, validFrom, ids, events);
    const authoredFrom = commit.authorDateS === null ? validFrom : microseconds(commit.authorDateS);
    events.push(edgeCreated(ids.nextEdgeId(), "AUTHORED", personId, commitId, authoredFrom));
    for (const parent of new Set(commit.parents)) {
      const parentId = this.#commits.get(parent);
      if (parentId === undefined) continue;
      events.push(edgeCreated(ids.nextEdgeId(), "PARENT", commitId, parentId, validFrom));
    }
    for (const change of commit.changes) {
      if (change.kind === "removed") this.#planRemoval(change.path, validFrom, events);
      else this.#planChange(change, { commit: commit.hash, commitId, personId, validFrom }, ids, events);
    }
    return events;
  }

  /** Takes up an event that an earlier run of the importer appended. */
  fold(event: FoldableEvent): void {
    // Decoding is most of the work, so `data` is not touched where the event changes nothing here.
    if (event.type === "varve.v1.NodeCreated") this.#foldNode(event, event.data as GitGraphData);
    else if (event.type === "varve.v1.NodePatched") this.#foldPatch(event, event.data as GitGraphData);
    else if (event.type === "varve.v1.NodeDeleted") this.#foldRemoval(event, event.data as GitGraphData);
    else if (event.type === "varve.v1.EdgeCreated") this.#foldEdge(event, event.data as GitGraphData);
    else if (event.type !== "varve.v1.EdgePatched" && event.type !== "varve.v1.EdgeDeleted") throw foreign(event);
  }

  #planAuthor(commit: GitCommit, validFrom: number, ids: GitGraphIds, events: GitGraphEvent[]): number {
    const name = shorten(commit.authorName);
    const known = this.#people.get(commit.authorEmail);
    if (known === undefined) {
      const id = ids.nextNodeId();
      const properties = { email: commit.authorEmail, name };
      events.push({ type: "varve.v1.NodeCreated", data: { id, label: "Person", properties, validFrom } });
      this.#addPerson(commit.authorEmail, { nodeId: id, name });
      return id;
    }
    if (known.name !== name) {
      events.push({ type: "varve.v1.NodePatched", data: { id: known.nodeId, properties: { name }, validFrom } });
      known.name = name;
    }
    return known.nodeId;
  }

  #planRemoval(path: string, validFrom: number, events: GitGraphEvent[]): void {
    const file = this.#files.get(path);
    if (file === undefined || !file.exists) return;
    events.push({ type: "varve.v1.NodeDeleted", data: { id: file.nodeId, validFrom, detach: true } });
    removeFile(file);
  }

  // Whether the file is new is decided by what exists, not by git's word for the change: a broken tree may list a path
  // twice, and the graph has one node for it.
  #planChange(
    change: PathChange,
    by: { readonly commit: string; readonly commitId: number; readonly personId: number; readonly validFrom: number },
    ids: GitGraphIds,
    events: GitGraphEvent[],
  ): void {
    const { commitId, personId, validFrom } = by;
    let file = this.#files.get(change.path);
    if (file === undefined || !file.exists) {
      const id = file === undefined ? ids.nextNodeId() : file.nodeId;
      const properties = { path: change.path };
      events.push({ type: "varve.v1.NodeCreated", data: { id, label: "File", properties, validFrom } });
      file = this.#addFile(change.path, id);
    }
    events.push(edgeCreated(ids.nextEdgeId(), "TOUCHED", commitId, file.nodeId, validFrom));

    const properties = { commit: by.commit };
    if (file.lastChangePersonId === personId && file.lastChangeEdgeId !== NO_EDGE) {
      events.push({ type: "varve.v1.EdgePatched", data: { id: file.lastChangeEdgeId, properties, validFrom } });
      return;
    }
    if (file.lastChangeEdgeId !== NO_EDGE)
      events.push({ type: "varve.v1.EdgeDeleted", data: { id: file.lastChangeEdgeId, validFrom } });
    file.lastChangeEdgeId = ids.nextEdgeId();
    file.lastChangePersonId = personId;
    events.push({
      type: "varve.v1.EdgeCreated",
      data: {
        id: file.lastChangeEdgeId,
        label: "LAST_CHANGED_BY",
        source: file.nodeId,
        target: personId,
        properties,
        validFrom,
      },
    });
  }

  #foldNode(event: FoldableEvent, data: GitGraphData): void {
    const properties = data.properties ?? {};
    if (data.label === "Commit" && properties["hash"] !== undefined)
      this.#addCommit(properties["hash"], data.id, data.validFrom);
    else if (data.label === "Person" && properties["email"] !== undefined)
      this.#addPerson(properties["email"], { nodeId: data.id, name: properties["name"] ?? "" });
    else if (data.label === "File" && properties["path"] !== undefined) this.#addFile(properties["path"], data.id);
    else throw foreign(event);
  }

  #foldPatch(event: FoldableEvent, data: GitGraphData): void {
    const person = this.#peopleById.get(data.id);
    const name = data.properties?.["name"];
    if (person === undefined || name === undefined) throw foreign(event);
    person.name = name;
  }

  #foldRemoval(event: FoldableEvent, data: GitGraphData): void {
    const file = this.#filesById.get(data.id);
    if (file === undefined) throw foreign(event);
    removeFile(file);
  }

  #foldEdge(event: FoldableEvent, data: GitGraphData): void {
    if (data.label !== "LAST_CHANGED_BY") return;
    const file = this.#filesById.get(data.source ?? 0);
    if (file === undefined || data.target === undefined) throw foreign(event);
    file.lastChangeEdgeId = data.id;
    file.lastChangePersonId = data.target;
  }

  #addCommit(hash: string, nodeId: number, atUs: number): void {
    this.#firstCommit ??= hash;
    this.#lastCommit = hash;
    this.#atUs = atUs;
    this.#commits.set(hash, nodeId);
  }

  #addPerson(email: string, person: PersonState): void {
    this.#people.set(email, person);
    this.#peopleById.set(person.nodeId, person);
  }

  #addFile(path: string, nodeId: number): FileState {
    const known = this.#files.get(path);
    if (known !== undefined) {
      known.exists = true;
      return known;
    }
    const file = { nodeId, exists: true, lastChangeEdgeId: NO_EDGE, lastChangePersonId: 0 };
    this.#files.set(path, file);
    this.#filesById.set(nodeId, file);
    return file;
  }
}

function edgeCreated(id: number, label: string, source: number, target: number, validFrom: number): GitGraphEvent {
  return { type: "varve.v1.EdgeCreated", data: { id, label, source, target, validFrom } };
}

// The edges of a removed file are deleted with it (detach).
function removeFile(file: FileState): void {
  file.exists = false;
  file.lastChangeEdgeId = NO_EDGE;
  file.lastChangePersonId = 0;
}

function microseconds(seconds: number): number {
  return Math.max(-SECONDS_MAX, Math.min(SECONDS_MAX, seconds)) * 1_000_000;
}

// Some tools write a whole report as one line, and no reader of a subject wants it. Half a surrogate pair is no text.
function shorten(text: string): string {
  if (text.length <= TEXT_CHARACTERS_MAX) return text;
  return `${text.slice(0, TEXT_CHARACTERS_MAX).replace(/[\uD800-\uDBFF]$/, "")}…`;
}

function foreign(event: FoldableEvent): StoreError {
  return new StoreError(
    "ERR_IMPORT_DIVERGED",
    `the stream ${event.stream} holds an event that this import did not write: ${event.type} at version ${event.version}`,
    { stream: event.stream, version: event.version },
  );
}
