/**
 * docs/bitemporal.md as data: its tables of events and of answers, and its pictures.
 *
 * A case is a heading `## <number> · <title>`, below it one table of events (`| LSN | recorded | event | outcome |`), pictures (fenced blocks that
 * begin with "```text <name>") and one table of answers, whose first row has the recorded times. Names stand for ids, in the order in which
 * they first appear. Times are whole or broken numbers, or dates.
 */

import type { EntityKind } from "../../src/projections/graph/graph-event-kind.js";
import type { PropertyValue } from "../../src/projections/graph/property.js";
import type { TestEvent } from "../projections/graph/raw-events.js";

export interface WorkedCase {
  readonly title: string;
  readonly events: readonly TestEvent[];
  /** Of each event: "" or the code of its refusal. */
  readonly outcomes: readonly string[];
  readonly entities: ReadonlyMap<string, { readonly kind: EntityKind; readonly id: number }>;
  readonly questions: readonly Question[];
  readonly pictures: readonly { readonly name: string; readonly text: string }[];
  /** The times of this case as they are written. */
  readonly timeTexts: ReadonlyMap<number, string>;
}

export interface Question {
  /** As it stands in the first column: "Ann at 2020.5", "edges of Ann at 2020", "find Person { city: "Rome" } at 2020". */
  readonly text: string;
  readonly subject: string;
  readonly form: "entity" | "edges" | "neighbours" | "find";
  readonly where: Readonly<Record<string, PropertyValue>>;
  readonly validAt: number;
  readonly recordedAt: number | { readonly lsn: number };
  readonly answer: string;
}

const EVENT =
  /^(?<verb>\w+)(?: (?<name>\w+)(?:: (?<label>\w+)(?: (?<source>\w+) → (?<target>\w+))?)?)?(?: (?<properties>\{.*?\}))?(?:, valid \[(?<from>[^,]+), (?<to>[^)]+)\))?(?<detach>, detach)?$/u;
const CONSTRAINT = /^(?<kind>unique|required) (?<label>\w+)\.(?<property>\w+)$/u;
const QUESTION = /^(?:(?<form>edges of|neighbours of|find) )?(?<subject>\w+)(?: (?<where>\{.*?\}))? at (?<at>\S+)$/u;
const TYPES: Readonly<Record<string, string>> = {
  create: "Created",
  put: "Put",
  replace: "Replaced",
  patch: "Patched",
  delete: "Deleted",
  retract: "Retracted",
};

export function workedCases(markdown: string): WorkedCase[] {
  return markdown
    .split(/^## (?=\d+ · )/mu)
    .slice(1)
    .map((section) => new CaseReader(section).read());
}

class CaseReader {
  readonly #section: string;
  readonly #entities = new Map<string, { kind: EntityKind; id: number }>();
  readonly #timeTexts = new Map<number, string>();

  constructor(section: string) {
    this.#section = section;
  }

  read(): WorkedCase {
    const [title = ""] = this.#section.split("\n");
    const tables = Array.from(this.#section.matchAll(/(?:^\|.*\n)+/gmu), ([table]) => rowsOf(table));
    const [events, answers, ...more] = tables;
    if (events === undefined || answers === undefined || more.length > 0) throw new Error(`${title}: two tables`);
    const read = events.slice(1).map(([lsn, recorded, text]) => this.#event(Number(lsn), recorded ?? "", text ?? ""));
    const [, ...columns] = answers[0] ?? [];
    return {
      title,
      events: read,
      outcomes: events.slice(1).map((row) => (row[3] ?? "").replaceAll("`", "")),
      entities: this.#entities,
      questions: answers
        .slice(1)
        .flatMap(([text = "", ...cells]) => cells.map((cell, at) => this.#question(text, columns[at] ?? "", cell))),
      pictures: Array.from(this.#section.matchAll(/^```text (\w+)\n(.*?)^```$/gmsu), ([, name = "", text = ""]) => ({
        name,
        text,
      })),
      timeTexts: this.#timeTexts,
    };
  }

  #event(lsn: number, recorded: string, text: string): TestEvent {
    const demanded = CONSTRAINT.exec(text)?.groups;
    if (demanded !== undefined)
      return { lsn, recordedAt: this.#time(recorded), type: "GraphConstraintAdded", data: { ...demanded } };
    const groups = EVENT.exec(text)?.groups;
    if (groups === undefined) throw new Error(`no event: ${text}`);
    const { verb = "", name = "", label, source, target, properties, from, to, detach } = groups;
    const recordedAt = this.#time(recorded);
    if (verb === "other") return { lsn, recordedAt, type: "Other", data: {} };
    if (verb === "purge") return { lsn, recordedAt, type: "GraphPurged", data: { recordedBefore: recordedAt } };
    const { kind, id } = this.#entity(name, source === undefined ? "node" : "edge");
    const data = {
      id,
      ...(label !== undefined && { label }),
      ...(source !== undefined && { source: this.#entity(source, "node").id }),
      ...(target !== undefined && { target: this.#entity(target, "node").id }),
      ...(/create|put|replace|patch/u.test(verb) && { properties: propertiesOf(properties) }),
      ...(from !== undefined && from !== "now" && { validFrom: this.#time(from) }),
      ...(to !== undefined && to !== "∞" && { validTo: this.#time(to) }),
      ...(detach !== undefined && { detach: true }),
    };
    return { lsn, recordedAt, type: `${kind === "node" ? "Node" : "Edge"}${TYPES[verb]}`, data };
  }

  #question(text: string, column: string, answer: string): Question {
    const groups = QUESTION.exec(text)?.groups;
    if (groups === undefined) throw new Error(`no question: ${text}`);
    const { form, subject = "", where, at = "" } = groups;
    const lsn = /^LSN (\d+)$/u.exec(column)?.[1];
    return {
      text: `${text}, recorded ${column}`,
      subject,
      form: form === undefined ? "entity" : (form.replace(" of", "") as Question["form"]),
      where: propertiesOf(where),
      validAt: this.#time(at),
      recordedAt: lsn === undefined ? this.#time(column) : { lsn: Number(lsn) },
      answer,
    };
  }

  #entity(name: string, kind: EntityKind): { kind: EntityKind; id: number } {
    const known = this.#entities.get(name) ?? { kind, id: this.#entities.size + 1 };
    this.#entities.set(name, known);
    return known;
  }

  #time(text: string): number {
    const number = Number(text);
    const time = Number.isNaN(number) ? Date.parse(`${text}T00:00:00Z`) * 1000 : Math.round(number * 1000);
    if (Number.isNaN(time)) throw new Error(`no time: ${text}`);
    if (!this.#timeTexts.has(time)) this.#timeTexts.set(time, text);
    return time;
  }
}

/** The cells of a table's rows, without the line below its heads. */
function rowsOf(table: string): string[][] {
  const rows = table
    .trimEnd()
    .split("\n")
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  return rows.filter((cells) => !cells.every((cell) => /^-+$/u.test(cell)));
}

function propertiesOf(text: string | undefined): Record<string, PropertyValue> {
  const pairs = (text ?? "").matchAll(/(\w+): ("[^"]*"|[^,}\s]+)/gu);
  return Object.fromEntries(Array.from(pairs, ([, key = "", value = ""]) => [key, JSON.parse(value) as PropertyValue]));
}

/** What an entity holds, as the tables say it. */
export function contentText(entity: { readonly properties: object } | undefined): string {
  if (entity === undefined) return "absent";
  const pairs = Object.entries(entity.properties).map(([key, value]) => `${key} ${String(value)}`);
  return pairs.length === 0 ? "there" : pairs.join(", ");
}
