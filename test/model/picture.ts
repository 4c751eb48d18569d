/** An entity's history as a picture: its rectangles over valid time, from left to right, and recorded time, upwards. */

import type { GraphNode } from "../../src/projections/graph/entity.js";

const LINES = " ╵╷│╴┘┐┤╶└┌├─┴┬┼";
const UP = 1;
const DOWN = 2;
const LEFT = 4;
const RIGHT = 8;

const COLUMN_WIDTH_MIN = 5;

/**
 * `timeText` gives a time as the page writes it. A rectangle says once, at its lower left, what it holds. Nothing is where nothing is said and no
 * line is around.
 */
export function pictureOf(rectangles: readonly GraphNode[], timeText: (time: number) => string): string {
  return new Picture(rectangles, timeText).draw();
}

class Picture {
  readonly #rectangles: readonly GraphNode[];
  readonly #timeText: (time: number) => string;
  /** Where each column begins; the last one is open, or has no width and is nothing's. */
  readonly #starts: readonly number[];
  /** Where each band begins, the lowest first. */
  readonly #lsns: readonly number[];
  readonly #labels: readonly string[];
  readonly #widths: readonly number[];

  constructor(rectangles: readonly GraphNode[], timeText: (time: number) => string) {
    this.#rectangles = rectangles;
    this.#timeText = timeText;
    this.#starts = sorted(rectangles.flatMap(({ validFrom, validTo }) => [validFrom, validTo ?? validFrom]));
    this.#lsns = sorted(rectangles.flatMap(({ lsn, supersededBy }) => [lsn, supersededBy ?? lsn]));
    this.#labels = this.#bandLabels();
    const isOpen = rectangles.some(({ validTo }) => validTo === null);
    this.#widths = this.#starts.map((start, column) => {
      if (column === this.#starts.length - 1 && !isOpen) return 0;
      const texts = [timeText(start), ...this.#lsns.map((_, band) => this.#words(column, band))];
      return Math.max(COLUMN_WIDTH_MIN, ...texts.map((text) => text.length)) + 2;
    });
  }

  draw(): string {
    const margin = Math.max(...this.#labels.map(({ length }) => length), 2);
    const indent = " ".repeat(margin + 1);
    const lines = ["recorded", `${indent}▲`];
    for (const [band, label] of [...this.#labels.entries()].reverse()) {
      const cells = this.#starts.map((_, column) => {
        const wall = column === 0 ? "┤" : this.#isWall(column, band) ? "│" : " ";
        return `${wall} ${this.#words(column, band)}`.padEnd((this.#widths[column] as number) + 1);
      });
      lines.push(`${label.padStart(margin)} ${cells.join("")}`);
      lines.push(`${indent}${this.#rule(band)}${band === 0 ? "▶ valid" : ""}`);
    }
    const ticks = this.#starts.map((start, column) =>
      this.#timeText(start).padEnd((this.#widths[column] as number) + 1),
    );
    lines.push(`${indent}${ticks.join("")}`);
    return `${lines.map((line) => line.trimEnd()).join("\n")}\n`;
  }

  /** Its recorded time, and the LSN too where several bands have the same. */
  #bandLabels(): string[] {
    const times = new Map<number, number>();
    for (const { lsn, recordedFrom, supersededBy, recordedTo } of this.#rectangles) {
      times.set(lsn, recordedFrom);
      if (supersededBy !== null && recordedTo !== null) times.set(supersededBy, recordedTo);
    }
    const texts = this.#lsns.map((lsn) => this.#timeText(times.get(lsn) ?? Number.NaN));
    return texts.map((text, band) =>
      texts.indexOf(text) === texts.lastIndexOf(text) ? text : `${text} (LSN ${this.#lsns[band]})`,
    );
  }

  #at(column: number, band: number): GraphNode | undefined {
    const v = this.#starts[column] ?? Number.NaN;
    const r = this.#lsns[band] ?? Number.NaN;
    return this.#rectangles.find((each) => contains(each, v, r));
  }

  #words(column: number, band: number): string {
    const here = this.#at(column, band);
    const isCorner = here?.lsn === this.#lsns[band] && here?.validFrom === this.#starts[column];
    return here !== undefined && isCorner ? wordsOf(here) : "";
  }

  /** Whether something else begins to the right. */
  #isWall(column: number, band: number): boolean {
    return column === 0 || this.#at(column - 1, band) !== this.#at(column, band);
  }

  /** Whether something else begins above the rule below a band. */
  #isLine(column: number, band: number): boolean {
    return band === 0 || this.#at(column, band) !== this.#at(column, band - 1);
  }

  /** What is drawn below a band. */
  #rule(band: number): string {
    const parts = this.#widths.map((width, column) => {
      const isRight = this.#isLine(column, band);
      const bits =
        (this.#isWall(column, band) ? UP : 0) |
        (band > 0 && this.#isWall(column, band - 1) ? DOWN : 0) |
        (column > 0 && this.#isLine(column - 1, band) ? LEFT : 0) |
        (isRight ? RIGHT : 0);
      return `${LINES[bits]}${(isRight ? "─" : " ").repeat(width)}`;
    });
    return parts.join("");
  }
}

function contains(each: GraphNode, v: number, r: number): boolean {
  const { validFrom, validTo, lsn, supersededBy } = each;
  return (
    validFrom <= v &&
    v < (validTo ?? Number.POSITIVE_INFINITY) &&
    lsn <= r &&
    r < (supersededBy ?? Number.POSITIVE_INFINITY)
  );
}

function wordsOf({ label, properties }: GraphNode): string {
  const values = Object.values(properties);
  return values.length === 0 ? label : values.join(", ");
}

function sorted(numbers: readonly number[]): number[] {
  return [...new Set(numbers)].sort((a, b) => a - b);
}
