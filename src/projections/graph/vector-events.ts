/** The events that define vectors and end that, between objects and bytes. graph.proto is the contract. */

import type { StoreErrorCode } from "../../errors.js";
import { VECTORS_DEFINED_TYPE, VECTORS_REMOVED_TYPE } from "./graph-event-kind.js";
import { isText } from "./property.js";
import { decodeText } from "./text.js";
import {
  checkDefinition,
  checkReference,
  definitionFault,
  VECTOR_METRICS,
  VECTOR_STORAGES,
  type VectorMetric,
  type VectorStorage,
  type VectorsDefinedData,
  type VectorsReference,
} from "./vector-definition.js";
import { MALFORMED, WIRE_BYTES, WIRE_VARINT, WireReader, type WireWriter } from "./wire.js";

const LABEL = 1;
const PROPERTY = 2;
const DIMENSIONS = 3;
const METRIC = 4;
const STORAGE = 5;
const CONNECTIVITY = 6;
const EXPANSION_ADD = 7;
const EXPANSION_SEARCH = 8;

export function writeVectorsDefined(writer: WireWriter, data: unknown): void {
  const definition = checkDefinition(data);
  writeReference(writer, definition);
  writeNumber(writer, DIMENSIONS, definition.dimensions);
  writeNumber(writer, METRIC, VECTOR_METRICS.indexOf(definition.metric));
  writeNumber(writer, STORAGE, VECTOR_STORAGES.indexOf(definition.storage));
  writeNumber(writer, CONNECTIVITY, definition.connectivity);
  writeNumber(writer, EXPANSION_ADD, definition.expansionAdd);
  writeNumber(writer, EXPANSION_SEARCH, definition.expansionSearch);
}

export function writeVectorsRemoved(writer: WireWriter, data: unknown): void {
  writeReference(writer, checkReference(VECTORS_REMOVED_TYPE, data));
}

/** The event's data, or why the bytes are none. Fields that are not known are stepped over. */
export function readVectorsDefined(bytes: Uint8Array, start: number, end: number): VectorsDefinedData | StoreErrorCode {
  const fields = readFields(bytes, start, end);
  if (fields === null) return "ERR_EVENTS_SCHEMA";
  const { reference, numbers } = fields;
  const settings = {
    dimensions: numbers[DIMENSIONS] ?? 0,
    // `as`: one that this version does not know is refused below.
    metric: VECTOR_METRICS[numbers[METRIC] ?? 0] as VectorMetric,
    storage: VECTOR_STORAGES[numbers[STORAGE] ?? 0] as VectorStorage,
    connectivity: numbers[CONNECTIVITY] ?? 0,
    expansionAdd: numbers[EXPANSION_ADD] ?? 0,
    expansionSearch: numbers[EXPANSION_SEARCH] ?? 0,
  };
  return definitionFault(settings) === null ? { ...reference, ...settings } : "ERR_GRAPH_VECTORS_DEFINITION";
}

/** As `readVectorsDefined`. */
export function readVectorsRemoved(bytes: Uint8Array, start: number, end: number): VectorsReference | StoreErrorCode {
  return readFields(bytes, start, end)?.reference ?? "ERR_EVENTS_SCHEMA";
}

export function isVectorsType(type: string): boolean {
  return type === VECTORS_DEFINED_TYPE || type === VECTORS_REMOVED_TYPE;
}

function writeReference(writer: WireWriter, { label, property }: VectorsReference): void {
  writer.byte((LABEL << 3) | WIRE_BYTES);
  writer.text(label);
  writer.byte((PROPERTY << 3) | WIRE_BYTES);
  writer.text(property);
}

/** 0 is how proto3 leaves a field out. */
function writeNumber(writer: WireWriter, field: number, value: number): void {
  if (value === 0) return;
  writer.byte((field << 3) | WIRE_VARINT);
  writer.varint(value);
}

interface Fields {
  readonly reference: VectorsReference;
  /** By field number. */
  readonly numbers: readonly (number | undefined)[];
}

function readFields(bytes: Uint8Array, start: number, end: number): Fields | null {
  const reader = new WireReader();
  reader.open(bytes, start, end);
  const names: (string | undefined)[] = [];
  const numbers: (number | undefined)[] = [];
  while (reader.at < end) {
    const tag = reader.varint();
    const field = tag >>> 3;
    if (tag < 8) return null;
    if (field === LABEL || field === PROPERTY) {
      const name = (tag & 7) === WIRE_BYTES ? nameOf(reader) : null;
      if (name === null) return null;
      names[field] = name;
    } else if (field <= EXPANSION_SEARCH) {
      const value = (tag & 7) === WIRE_VARINT ? reader.varint() : MALFORMED;
      if (value === MALFORMED) return null;
      numbers[field] = value;
    } else if (!reader.skip(tag & 7)) return null;
  }
  const [label, property] = [names[LABEL], names[PROPERTY]];
  return label === undefined || property === undefined ? null : { reference: { label, property }, numbers };
}

function nameOf(reader: WireReader): string | null {
  const length = reader.length();
  if (length === MALFORMED || length === 0) return null;
  reader.at += length;
  const start = reader.at - length;
  return isText(reader.bytes, start, reader.at) ? decodeText(reader.bytes, start, reader.at) : null;
}
