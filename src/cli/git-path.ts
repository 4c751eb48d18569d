/**
 * Paths of a git tree as text, one text per path.
 *
 * Git's paths are bytes. Those that are UTF-8 stand for themselves. The others are written as git itself prints them with
 * its default settings: in double quotes, C-escaped, every byte above 127 in octal (`"caf\351"`). A path whose own text
 * reads like such a quoted path is quoted as well, so that two paths never become the same text.
 */

import { isUtf8 } from "node:buffer";

const REPLACEMENT_CHARACTER = "\uFFFD";
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const DELETE = 0x7f;

// quote.c of git, cq_lookup
const LETTER_ESCAPES = new Map<number, string>([
  [0x07, "a"],
  [0x08, "b"],
  [0x09, "t"],
  [0x0a, "n"],
  [0x0b, "v"],
  [0x0c, "f"],
  [0x0d, "r"],
  [QUOTE, '"'],
  [BACKSLASH, "\\"],
]);
const ESCAPED_BYTES = new Map([...LETTER_ESCAPES].map(([byte, letter]) => [letter.charCodeAt(0), byte]));

/** The text under which a path is stored. Different paths have different texts. */
export function decodeGitPath(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  if (!text.startsWith('"') && !text.includes(REPLACEMENT_CHARACTER)) return text;
  return needsQuotes(bytes) ? quoteGitPath(bytes) : text;
}

/** A path as `git ls-tree` prints it with core.quotePath at its default, always with the quotes. */
export function quoteGitPath(bytes: Uint8Array): string {
  let text = '"';
  for (const byte of bytes) {
    const letter = LETTER_ESCAPES.get(byte);
    if (letter !== undefined) text += `\\${letter}`;
    else if (byte < 0x20 || byte >= DELETE) text += `\\${byte.toString(8).padStart(3, "0")}`;
    else text += String.fromCharCode(byte);
  }
  return `${text}"`;
}

function needsQuotes(bytes: Buffer): boolean {
  if (!isUtf8(bytes)) return true;
  const inner = unquoteGitPath(bytes);
  return inner !== null && needsQuotes(inner);
}

/** The path that is quoted exactly so, or null when no path is. */
function unquoteGitPath(quoted: Buffer): Buffer | null {
  if (quoted.length < 2 || quoted[0] !== QUOTE || quoted[quoted.length - 1] !== QUOTE) return null;
  const bytes: number[] = [];
  for (let offset = 1; offset < quoted.length - 1; offset += 1) {
    const byte = quoted[offset] ?? 0;
    if (byte !== BACKSLASH) {
      bytes.push(byte);
      continue;
    }
    const escaped = ESCAPED_BYTES.get(quoted[offset + 1] ?? 0);
    if (escaped !== undefined) {
      bytes.push(escaped);
      offset += 1;
    } else {
      bytes.push(Number.parseInt(quoted.toString("latin1", offset + 1, offset + 4), 8) & 0xff);
      offset += 3;
    }
  }
  const path = Buffer.from(bytes);
  return quoteGitPath(path) === quoted.toString("latin1") ? path : null;
}
