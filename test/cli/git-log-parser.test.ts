import { type GitCommit, GitLogParser } from "../../src/cli/git-log-parser.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("cli/git-log-parser");

// As git 2.39 prints it: no NUL but the one after the subject between a commit without changes and the next commit.
const OUTPUT = Buffer.concat([
  Buffer.from(">aa\0\0Ann\0ann@example.org\x00100\x00200\0first > line\0"),
  Buffer.from("\nA\0one\0A\0>two\0A\0M\0"),
  Buffer.from(">bb\0aa\0\0\x00300\x00\0\0"),
  Buffer.from(">cc\0bb dd ee\0Bö\0b@x\x00-5\x0018446744073709551615\0merge\0\nD\0>two\0T\0"),
  Buffer.from([0x66, 0xff]),
  Buffer.from("\0M\0line\nfeed\0"),
]);

const COMMITS: readonly GitCommit[] = [
  {
    hash: "aa",
    parents: [],
    authorName: "Ann",
    authorEmail: "ann@example.org",
    authorDateS: 100,
    committerDateS: 200,
    subject: "first > line",
    changes: [
      { kind: "added", path: "one" },
      { kind: "added", path: ">two" },
      { kind: "added", path: "M" },
    ],
  },
  {
    hash: "bb",
    parents: ["aa"],
    authorName: "",
    authorEmail: "",
    authorDateS: 300,
    committerDateS: null,
    subject: "",
    changes: [],
  },
  {
    hash: "cc",
    parents: ["bb", "dd", "ee"],
    authorName: "Bö",
    authorEmail: "b@x",
    authorDateS: -5,
    committerDateS: 2 ** 64,
    subject: "merge",
    changes: [
      { kind: "removed", path: ">two" },
      { kind: "modified", path: String.raw`"f\377"` },
      { kind: "modified", path: "line\nfeed" },
    ],
  },
];

function parse(chunks: readonly Buffer[]): GitCommit[] {
  const parser = new GitLogParser();
  return [...chunks.flatMap((chunk) => parser.push(chunk)), ...parser.end()];
}

test("reads commits, empty fields, merges and every kind of change", () => {
  assert.equal(parse([OUTPUT]), COMMITS);
});

test("reads the same whatever the place at which the output is cut", () => {
  for (let first = 0; first <= OUTPUT.length; first += 1) {
    for (let second = first; second <= OUTPUT.length; second += 7) {
      const chunks = [OUTPUT.subarray(0, first), OUTPUT.subarray(first, second), OUTPUT.subarray(second)];
      assert.equal(parse(chunks), COMMITS, `cut at ${first} and ${second}`);
    }
  }
  const bytes = Array.from(OUTPUT, (byte) => Buffer.from([byte]));
  assert.equal(parse(bytes), COMMITS);
});

test("hands a commit out as soon as the next one starts", () => {
  const parser = new GitLogParser();
  const second = OUTPUT.indexOf(">bb");
  assert.is(parser.push(OUTPUT.subarray(0, second + 3)).length, 0);
  assert.equal(parser.push(OUTPUT.subarray(second + 3, second + 4)), [COMMITS[0]]);
});

test("no output is no commit", () => {
  assert.equal(parse([]), []);
});

test("refuses output that ends in the middle, and hands out no half commit", async () => {
  const ends = new Set([OUTPUT.length, OUTPUT.indexOf(">bb"), OUTPUT.indexOf(">cc"), 0]);
  // After a whole path the commit may be whole as well: only git's exit code tells.
  for (const [index, byte] of OUTPUT.entries()) if (byte === 0) ends.add(index + 1);
  for (let end = 0; end < OUTPUT.length; end += 1) {
    if (ends.has(end)) continue;
    const parser = new GitLogParser();
    const commits = parser.push(OUTPUT.subarray(0, end));
    assert.equal(commits, COMMITS.slice(0, commits.length));
    await rejects(() => parser.end(), "ERR_IMPORT_SOURCE");
  }
});

test("refuses what is no output of git log", async () => {
  for (const text of ["A\0path\0", "hello\0", ">aa\0\0n\0e\x001\x001\0s\0\nR100\0a\0b\0", ">aa\0\0n\0e\0"]) {
    await rejects(() => parse([Buffer.from(text)]), "ERR_IMPORT_SOURCE");
  }
});
