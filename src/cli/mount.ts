/** What the mount that holds a directory was mounted with, as /proc/self/mountinfo tells it (proc(5)). */

const FIELDS_BEFORE_OPTIONAL = 6;

/** Options of the mount and of its file system; none where the text does not tell. `directory` is absolute, without symbolic links. */
export function mountOptions(mountinfo: string, directory: string): readonly string[] {
  let longest = "";
  let found: readonly string[] = [];
  for (const line of mountinfo.split("\n")) {
    const fields = line.split(" ");
    const separator = fields.indexOf("-", FIELDS_BEFORE_OPTIONAL);
    const point = fields[4]?.replaceAll("\\040", " ");
    if (separator < 0 || point === undefined) continue;
    const isAbove = directory === point || directory.startsWith(point.endsWith("/") ? point : `${point}/`);
    // The last one at a place is the one that is seen.
    if (!isAbove || point.length < longest.length) continue;
    longest = point;
    found = [...(fields[5] ?? "").split(","), ...(fields[separator + 3] ?? "").split(",")];
  }
  return found;
}

/** Whether a flush of the file system reaches the device: ext4 says `nobarrier`, or `barrier=0`, where it does not. */
export function flushesDevice(options: readonly string[]): boolean {
  return !options.includes("nobarrier") && !options.includes("barrier=0");
}
