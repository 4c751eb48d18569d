/** The error codes that a Markdown document lists: the first column of the tables in its section "Errors". */

/** The codes in the order of the table, or null when there is no such section. */
export function errorCodesOf(markdown: string): string[] | null {
  const lines = markdown.split("\n");
  const start = lines.findIndex((line) => /^#{1,6} Errors\s*$/.test(line));
  if (start < 0) return null;
  const level = lines[start]?.indexOf(" ") ?? 0;
  const next = lines.findIndex((line, index) => index > start && (/^(#{1,6}) /.exec(line)?.[1]?.length ?? 7) <= level);
  return lines.slice(start, next < 0 ? undefined : next).flatMap((line) => {
    const code = /^\|\s*`(ERR_[A-Z0-9_]+)`\s*\|/.exec(line)?.[1];
    return code === undefined ? [] : [code];
  });
}
