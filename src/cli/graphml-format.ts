/**
 * GraphML. Its attributes are declared before the graph, so the view is gone over once for the names and types of properties, and again for what
 * they hold; a view does not change between the two.
 *
 * `label`, `validFrom` and `validTo` (µs; none: an open end) are attributes beside the properties; a property of such a name is called
 * `property.label` and so on. A property that holds numbers and text is text; null is left out. XML cannot hold most control characters: U+FFFD
 * stands for each.
 */

import type { GraphEdge, GraphNode, GraphView } from "../index.js";
import { type GraphFormat, propertyText } from "./graph-format.js";

type PropertyType = "boolean" | "long" | "double" | "string";
type Kind = "node" | "edge";

interface Attribute {
  readonly id: string;
  type: PropertyType;
}

/** Properties by key. */
type Attributes = Map<string, Attribute>;

const OWN = ["label", "validFrom", "validTo"] as const;

export function graphmlFormat(view: GraphView): GraphFormat {
  const attributes = { node: new Map() as Attributes, edge: new Map() as Attributes };
  for (const node of view.find({})) {
    declare(attributes.node, "n", node);
    for (const edge of view.edges(node.id, { direction: "out" })) declare(attributes.edge, "e", edge);
  }
  return {
    before: [
      '<?xml version="1.0" encoding="UTF-8"?>',
      '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">',
      ...keys("node", attributes.node),
      ...keys("edge", attributes.edge),
      '<graph id="varve" edgedefault="directed">',
    ],
    after: ["</graph>", "</graphml>"],
    node: (node) => `<node id="n${node.id}">${dataOf("node", attributes.node, node)}</node>`,
    edge: (edge) =>
      `<edge id="e${edge.id}" source="n${edge.source}" target="n${edge.target}">${dataOf("edge", attributes.edge, edge)}</edge>`,
  };
}

function declare(attributes: Attributes, prefix: string, { properties }: GraphNode | GraphEdge): void {
  for (const [key, value] of Object.entries(properties)) {
    if (value === null) continue;
    const type = typeOf(value);
    const known = attributes.get(key);
    if (known === undefined) attributes.set(key, { id: `${prefix}${attributes.size}`, type });
    else if (known.type !== type) known.type = isNumber(known.type) && isNumber(type) ? "double" : "string";
  }
}

function typeOf(value: GraphNode["properties"][string]): PropertyType {
  if (typeof value === "boolean") return "boolean";
  if (typeof value !== "number") return "string";
  return Number.isSafeInteger(value) ? "long" : "double";
}

function isNumber(type: PropertyType): boolean {
  return type === "long" || type === "double";
}

function keys(kind: Kind, attributes: Attributes): string[] {
  const key = (id: string, name: string, type: PropertyType) =>
    `<key id="${id}" for="${kind}" attr.name="${escaped(name)}" attr.type="${type}"/>`;
  return [
    ...OWN.map((name) => key(ownId(kind, name), name, name === "label" ? "string" : "long")),
    ...Array.from(attributes, ([name, { id, type }]) => key(id, isOwn(name) ? `property.${name}` : name, type)),
  ];
}

function isOwn(name: string): boolean {
  return OWN.some((own) => own === name);
}

function ownId(kind: Kind, name: (typeof OWN)[number]): string {
  return `${kind}.${name}`;
}

function dataOf(kind: Kind, attributes: Attributes, entity: GraphNode | GraphEdge): string {
  const parts = OWN.map((name) => data(ownId(kind, name), entity[name] === null ? null : String(entity[name])));
  for (const [key, value] of Object.entries(entity.properties)) {
    const attribute = attributes.get(key);
    if (attribute !== undefined) parts.push(data(attribute.id, value === null ? null : valueText(value)));
  }
  return parts.join("");
}

function data(id: string, text: string | null): string {
  return text === null ? "" : `<data key="${id}">${escaped(text)}</data>`;
}

/** Numbers as XML Schema writes them. */
function valueText(value: NonNullable<GraphNode["properties"][string]>): string {
  if (value === Number.POSITIVE_INFINITY) return "INF";
  if (value === Number.NEGATIVE_INFINITY) return "-INF";
  return propertyText(value);
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ["&", "&amp;"],
  ["<", "&lt;"],
  [">", "&gt;"],
  ['"', "&quot;"],
  // As they are, a parser would make spaces or line feeds of them.
  ["\t", "&#9;"],
  ["\n", "&#10;"],
  ["\r", "&#13;"],
]);

/** For text and for attributes alike. */
function escaped(text: string): string {
  return text.replaceAll(/[\p{Cc}&<>"\ufffe\uffff]/gu, (character) => {
    const isC1 = character >= "\u007f" && character <= "\u009f";
    return ENTITIES.get(character) ?? (isC1 ? character : "\ufffd");
  });
}
