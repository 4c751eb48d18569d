/** Errors as node:fs throws them. */

import { constants } from "node:os";
import { getSystemErrorName } from "node:util";

export type ErrnoName = keyof typeof constants.errno;

/** The negative number of an errno. */
export function errnoOf(name: ErrnoName): number {
  return -constants.errno[name];
}

export function systemError(code: ErrnoName, syscall: string, path: string): NodeJS.ErrnoException {
  return systemErrorOf(errnoOf(code), syscall, path);
}

/** With the name that libuv has for it: for some there is none. */
export function systemErrorOf(errno: number, syscall: string, path: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(errno);
  return Object.assign(new Error(`${code}: simulated, ${syscall} '${path}'`), { code, errno, syscall, path });
}
