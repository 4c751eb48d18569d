/** The error numbers that Varve decides on (asm-generic/errno.h), and names for the others. */

import { getSystemErrorName } from "node:util";

export const EPERM = 1;
export const EINTR = 4;
export const EIO = 5;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EBUSY = 16;
export const EINVAL = 22;
export const ENOSPC = 28;
export const ENOSYS = 38;
export const ENODATA = 61;
export const EBADMSG = 74;
export const EOPNOTSUPP = 95;
export const EUCLEAN = 117;
export const EDQUOT = 122;
export const ECANCELED = 125;

/** Whether a failed read tells of the device's bytes, and not of a lack of memory, of descriptors, or of rights. */
export function isMediumError(errno: number): boolean {
  return [EIO, ENODATA, EBADMSG, EUCLEAN].includes(Math.abs(errno));
}

/** `"ENOSPC"` for 28 and for −28. */
export function errnoName(errno: number): string {
  if (errno === 0) return "OK";
  // libuv, whose names these are, has none for a full quota.
  return Math.abs(errno) === EDQUOT ? "EDQUOT" : getSystemErrorName(-Math.abs(errno));
}
