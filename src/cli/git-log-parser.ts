/**
 * Reads the output of `git log -z --name-status` in the format below, however it is cut into chunks.
 *
 * The output is a sequence of tokens, each ended by NUL. A commit is seven tokens, the first of which starts with ">",
 * and then two tokens for each path that it changed: a status letter and the path. Git puts a line feed before the first
 * status letter of a commit. No status letter is ">", so that a commit's end is known when the next token is.
 */

import { StoreError } from "../errors.js";
import { decodeGitPath } from "./git-path.js";

/** The value of `--format` whose output the parser reads. */
export const GIT_LOG_FORMAT = "tformat:>%H%x00%P%x00%an%x00%ae%x00%at%x00%ct%x00%s";

/** What a commit did to a path. A changed type (file, symbolic link, submodule) is a modification. */
export interface PathChange {
  readonly kind: "added" | "modified" | "removed";
  readonly path: string;
}

/** One commit as git knows it. */
export interface GitCommit {
  readonly hash: string;
  readonly parents: readonly string[];
  readonly authorName: string;
  readonly authorEmail: string;
  /** Seconds since 1970, or null where the commit has no date that git can read. */
  readonly authorDateS: number | null;
  /** Seconds since 1970, or null where the commit has no date that git can read. */
  readonly committerDateS: number | null;
  readonly subject: string;
  readonly changes: readonly PathChange[];
}

const NUL = 0x00;
const LINE_FEED = 0x0a;
const COMMIT_MARK = 0x3e;
const HEADER_FIELDS = 7;

const CHANGE_KINDS = new Map<string, PathChange["kind"]>([
  ["A", "added"],
  ["M", "modified"],
  ["T", "modified"],
  ["D", "removed"],
]);

/** Turns chunks into commits. A commit is handed out once the start of the next one, or the end, was seen. */
export class GitLogParser {
  /** The start of a token whose NUL has not come yet. */
  #partial: Buffer[] = [];
  #header: string[] = [];
  #changes: PathChange[] = [];
  /** The status of the path that comes next, or null where a status or a commit comes next. */
  #kind: PathChange["kind"] | null = null;
  #commits: GitCommit[] = [];

  /** Takes the next chunk and returns the commits that it completed. */
  push(chunk: Buffer): GitCommit[] {
    let start = 0;
    for (let end = chunk.indexOf(NUL); end !== -1; end = chunk.indexOf(NUL, start)) {
      this.#take(this.#join(chunk.subarray(start, end)));
      start = end + 1;
    }
    if (start < chunk.length) this.#partial.push(chunk.subarray(start));
    return this.#handOut();
  }

  /** Says that the output ended where it should, and returns the last commit. */
  end(): GitCommit[] {
    const headerIsWhole = this.#header.length === 0 || this.#header.length === HEADER_FIELDS;
    if (this.#partial.length > 0 || this.#kind !== null || !headerIsWhole) throw unreadable("ends in the middle");
    this.#finishCommit();
    return this.#handOut();
  }

  #join(token: Buffer): Buffer {
    if (this.#partial.length === 0) return token;
    const whole = Buffer.concat([...this.#partial, token]);
    this.#partial = [];
    return whole;
  }

  #handOut(): GitCommit[] {
    const commits = this.#commits;
    this.#commits = [];
    return commits;
  }

  #take(token: Buffer): void {
    if (this.#kind !== null) {
      this.#changes.push({ kind: this.#kind, path: decodeGitPath(token) });
      this.#kind = null;
    } else if (this.#header.length > 0 && this.#header.length < HEADER_FIELDS) {
      this.#header.push(token.toString("utf8"));
    } else {
      this.#takeStatusOrCommit(token);
    }
  }

  #takeStatusOrCommit(token: Buffer): void {
    const start = token[0] === LINE_FEED ? 1 : 0;
    if (token.length === start) return;
    if (token[start] === COMMIT_MARK) {
      this.#finishCommit();
      this.#header.push(token.toString("latin1", start + 1));
      return;
    }
    const status = token.toString("latin1", start);
    const kind = CHANGE_KINDS.get(status);
    if (kind === undefined || this.#header.length === 0) throw unreadable(`has ${JSON.stringify(status)} for a status`);
    this.#kind = kind;
  }

  #finishCommit(): void {
    if (this.#header.length === 0) return;
    const [
      hash = "",
      parents = "",
      authorName = "",
      authorEmail = "",
      authorDate = "",
      committerDate = "",
      subject = "",
    ] = this.#header;
    this.#commits.push({
      hash,
      parents: parents === "" ? [] : parents.split(" "),
      authorName,
      authorEmail,
      authorDateS: parseDate(authorDate),
      committerDateS: parseDate(committerDate),
      subject,
      changes: this.#changes,
    });
    this.#header = [];
    this.#changes = [];
  }
}

function parseDate(seconds: string): number | null {
  return /^-?\d+$/.test(seconds) ? Number(seconds) : null;
}

function unreadable(how: string): StoreError {
  return new StoreError("ERR_IMPORT_SOURCE", `the output of git log ${how}`);
}
