/** What the work leaves on the disk. */

export const STORE = "store";
/** Also the name under which a backup is acknowledged: no append has it. */
export const BACKUP = "backup";
