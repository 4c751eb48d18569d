/** Errors as node:fs throws them. */

import { constants } from "node:os";
import { getSystemErrorName } from "node:util";

export type ErrnoName = keyof typeof constants.errno;

/** The negative number of an errno. */
export function errnoOf(name: ErrnoName): number {
  return -constants.errno[name];
}

export function systemError(code: ErrnoName, syscall: string, path: string): NodeJS.ErrnoException {
  const error: NodeJS.ErrnoException = new Error(`${code}: simulated, ${syscall} '${path}'`);
  return Object.assign(error, { code, errno: errnoOf(code), syscall, path });
}

export function systemErrorOf(errno: number, syscall: string, path: string): NodeJS.ErrnoException {
  return systemError(getSystemErrorName(errno) as ErrnoName, syscall, path);
}
