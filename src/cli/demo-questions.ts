/**
 * The three questions of the demo: one along valid time, one that follows an edge through time, one along recorded time.
 *
 * What is asked about is chosen from the graph itself, and noted, so that the same questions can be asked again of a graph
 * that was rebuilt.
 */

import type { Graph, GraphNode, GraphView } from "../index.js";

/** What is asked about. */
export interface DemoQuestions {
  /** The commit at one third of the history, and its valid time. */
  readonly commit: string;
  readonly validAt: number;
  /** The valid time of the last commit. */
  readonly lastValidAt: number;
  /** The LSN at which the store knew the history up to that commit and no further. */
  readonly lsn: number;
  /** The file whose last changes are compared; null when there is none. */
  readonly fileId: number | null;
}

export interface DemoAnswers {
  /** Which files existed then? */
  readonly filesThen: FileList;
  readonly filesNow: FileList;
  /** Who had last changed that file, then and now? */
  readonly lastChange: {
    readonly path: string;
    readonly atThird: LastChange | null;
    readonly atEnd: LastChange | null;
  } | null;
  /** Which files would the store have said exist now, when it knew a third of the history? */
  readonly filesAsKnownThen: FileList;
}

export interface FileList {
  readonly count: number;
  /** A few of them. */
  readonly examples: readonly string[];
}

export interface LastChange {
  readonly by: string;
  readonly commit: string;
  readonly subject: string;
}

const EXAMPLES = 3;
// Looking for a file with a story must not take longer than the import.
const FILES_LOOKED_AT_MAX = 2_000;

/** Chooses what to ask. Null when the graph holds no commit. */
export function chooseQuestions(graph: Graph): DemoQuestions | null {
  const commits = [...graph.asOf({ validAt: Number.MAX_SAFE_INTEGER }).find({ label: "Commit" })];
  const third = commits[Math.floor(commits.length / 3)];
  const last = commits.at(-1);
  if (third === undefined || last === undefined) return null;
  const next = commits[Math.floor(commits.length / 3) + 1];
  const questions = {
    commit: textOf(third, "hash"),
    validAt: third.validFrom,
    lastValidAt: last.validFrom,
    // A commit's own node is the first of its events.
    lsn: next === undefined ? graph.lsn : next.lsn - 1,
  };
  return { ...questions, fileId: chooseFile(graph, questions.validAt, questions.lastValidAt) };
}

export function askQuestions(graph: Graph, { validAt, lastValidAt, lsn, fileId }: DemoQuestions): DemoAnswers {
  const then = graph.asOf({ validAt });
  const now = graph.asOf({ validAt: lastValidAt });
  const file = fileId === null ? undefined : now.node(fileId);
  return {
    filesThen: listFiles(then),
    filesNow: listFiles(now),
    lastChange:
      file === undefined
        ? null
        : { path: textOf(file, "path"), atThird: lastChangeOf(then, file.id), atEnd: lastChangeOf(now, file.id) },
    filesAsKnownThen: listFiles(graph.asOf({ validAt: lastValidAt, recordedAt: { lsn } })),
  };
}

function listFiles(view: GraphView): FileList {
  let count = 0;
  const examples: string[] = [];
  for (const file of view.find({ label: "File" })) {
    count += 1;
    if (examples.length < EXAMPLES) examples.push(textOf(file, "path"));
  }
  return { count, examples };
}

/** A file that lived through both: if possible one that somebody else has changed since, or at least one that was changed. */
function chooseFile(graph: Graph, validAt: number, lastValidAt: number): number | null {
  const then = graph.asOf({ validAt });
  const now = graph.asOf({ validAt: lastValidAt });
  let any: number | null = null;
  let changed: number | null = null;
  let lookedAt = 0;
  for (const { id } of then.find({ label: "File" })) {
    const before = lastChangeOf(then, id);
    const after = lastChangeOf(now, id);
    if (after === null) continue;
    if (before?.by !== after.by) return id;
    if (before.commit !== after.commit) changed ??= id;
    any ??= id;
    lookedAt += 1;
    if (lookedAt === FILES_LOOKED_AT_MAX) break;
  }
  return changed ?? any;
}

function lastChangeOf(view: GraphView, fileId: number): LastChange | null {
  const [edge] = view.edges(fileId, { direction: "out", label: "LAST_CHANGED_BY" });
  const person = edge === undefined ? undefined : view.node(edge.target);
  if (edge === undefined || person === undefined) return null;
  const commit = textOf(edge, "commit");
  for (const touching of view.edges(fileId, { direction: "in", label: "TOUCHED" })) {
    const node = view.node(touching.source);
    if (node !== undefined && textOf(node, "hash") === commit)
      return { by: textOf(person, "name"), commit, subject: textOf(node, "subject") };
  }
  return { by: textOf(person, "name"), commit, subject: "" };
}

function textOf({ properties }: Pick<GraphNode, "properties">, key: string): string {
  const value = properties[key];
  return typeof value === "string" ? value : "";
}
