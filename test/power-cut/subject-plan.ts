/** What is done to each subject: who it is, and which of its events, follows from their numbers. */

import type { EncryptionOptions, EventInput, StoreOptions } from "../../src/index.js";
import { keyOf } from "../encryption/support.js";

/** Their keys take several blocks of the key file. */
export const SUBJECT_COUNT = 36;
export const EVENT_TYPE = "Said";
const TEXT = "of whom this is ".repeat(20);

/** What marks say, before a subject is forgotten, behind that, and of an append. */
export const ASKED = "asked";
export const FORGOT = "forgot";
export const SAID = "said";

/** Of an event its subject, how often that was asked to be forgotten before, and which of those since it is. */
export interface SaidEvent {
  readonly subject: string;
  readonly round: number;
  readonly number: number;
}

export function nameOf(index: number): string {
  return `person-${index}`;
}

export function idOf({ subject, round, number }: SaidEvent): string {
  return `${subject}.${round}.${number}`;
}

export function saidEventOf(id: string): SaidEvent {
  const [subject = "", round, number] = id.split(".");
  return { subject, round: Number(round), number: Number(number) };
}

export function textOf(id: string): string {
  return `${id} ${TEXT.slice(0, id.length * 13)}`;
}

export function inputOf(event: SaidEvent): EventInput {
  const id = idOf(event);
  return { type: EVENT_TYPE, id, data: { text: textOf(id) }, subject: event.subject };
}

/** The store as it is opened: before its keys are changed, or since. */
export function optionsOf(
  subjectKeys: string,
  isRekeyed: boolean,
): StoreOptions & { readonly encryption: EncryptionOptions } {
  const keys = isRekeyed ? { key: keyOf(2), otherKeys: [keyOf(1)] } : { key: keyOf(1) };
  return { segmentBytes: 128 * 1024, flushIntervalMs: 3, encryption: { ...keys, subjectKeys } };
}
