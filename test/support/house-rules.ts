/** Rules that the linter cannot express, as data: what must not stand in `src/`, and what to write instead. */

import { type SourceFile, withoutComments } from "./source-file.js";

interface HouseRule {
  readonly pattern: RegExp;
  /** Whether comments are looked at as well. */
  readonly scope: "code" | "code and comments";
  /** Files that may. */
  readonly except?: RegExp;
  readonly instead: string;
}

const HOUSE_RULES: readonly HouseRule[] = [
  { pattern: /\b(FIXME|TODO|XXX|HACK)\b/, scope: "code and comments", instead: "finish it, or open an issue" },
  {
    pattern: /\bconsole\./,
    scope: "code",
    except: /^src\/cli\//,
    instead: "return it, or report it through a callback; only the command line prints",
  },
  {
    pattern: /\bprocess\.(exit\(|stdout|stderr)/,
    scope: "code",
    except: /^src\/cli\//,
    instead: "throw; a library neither ends nor prints in its user's process",
  },
  { pattern: /(?:[:<,|(]|\bas)\s*any\b/, scope: "code", instead: "unknown, and look before using it" },
  { pattern: /@ts-(ignore|nocheck)/, scope: "code and comments", instead: "a type that is true" },
  { pattern: /\bdebugger\b/, scope: "code", instead: "nothing" },
  {
    pattern: /\bMath\.random\(/,
    scope: "code",
    instead: "a random source that is passed in, so that a test can seed it",
  },
  {
    pattern: /\bAtomics\.wait\(/,
    scope: "code",
    // A ring's filling side runs in a thread made for it, which has nothing else to do; what waitAsync promises would not even keep it alive.
    except: /\.worker\.ts$|^src\/projections\/row-ring\.ts$/,
    instead: "Atomics.waitAsync; never block the loop",
  },
  {
    pattern: /\bclass \w+(<[^{]*>)? extends (?!\w*Error\b)/,
    scope: "code",
    instead: "an interface and composition; only errors inherit",
  },
];

const NAMES_THAT_SAY_NOTHING = /(^|\/)(utils?|helpers?|common|misc|shared|types)(\.|\/)/;

// What is thrown inside of a catch block because of what was caught must carry it. (Biome's useErrorCause wants the cause
// in the second argument, so it takes every StoreError for one without.)
const CATCH_BLOCK = /\bcatch \(\w+\) \{/g;
const NEW_ERROR = /\bnew \w*Error\(/g;

/** The line with its strings emptied: what is said to people is no code. */
function withoutStrings(line: string): string {
  return line.replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`/g, '""');
}

/** The text from an opening bracket to the one that closes it. */
function bracketed(text: string, start: number): string {
  let depth = 0;
  for (let index = start; index < text.length; index += 1) {
    const character = text[index] ?? "";
    if ("({[".includes(character)) depth += 1;
    else if (")}]".includes(character)) depth -= 1;
    if (depth === 0) return text.slice(start, index + 1);
  }
  return text.slice(start);
}

function lostCauses(path: string, code: string): string[] {
  const found: string[] = [];
  for (const { index: start, 0: opening } of code.matchAll(CATCH_BLOCK)) {
    const blockStart = start + opening.length - 1;
    for (const { index, 0: call } of bracketed(code, blockStart).matchAll(NEW_ERROR)) {
      const callStart = blockStart + index;
      if (/\bcause\b/.test(bracketed(code, callStart + call.length - 1))) continue;
      const line = code.slice(0, callStart).split("\n").length;
      found.push(`${path}:${line}: "${call})": instead, pass what was caught as its cause`);
    }
  }
  return found;
}

/** What is wrong with a file of `src/`, one sentence each. */
export function complaints(file: SourceFile): string[] {
  const found: string[] = [];
  if (NAMES_THAT_SAY_NOTHING.test(file.path))
    found.push(`${file.path}: the name says nothing; name the one thing in it`);
  const all = file.text.split("\n");
  // Comments are blanked, not removed, so that line numbers stay true.
  const code = withoutComments(file.text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, "")));
  const codeLines = code.split("\n").map(withoutStrings);
  found.push(...lostCauses(file.path, code));
  for (const rule of HOUSE_RULES) {
    if (rule.except?.test(file.path)) continue;
    const lines = rule.scope === "code" ? codeLines : all;
    for (const [index, line] of lines.entries()) {
      const match = rule.pattern.exec(line);
      if (match !== null) found.push(`${file.path}:${index + 1}: "${match[0].trim()}": instead, ${rule.instead}`);
    }
  }
  return found;
}
