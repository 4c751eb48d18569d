/** A simulated kernel has no ring: `SimulatedIo` stands above where one would be. */

import { errnoOf } from "../system-error.js";

// biome-ignore lint/complexity/noStaticOnlyClass: it stands in the place of one that is more
export class Ring {
  static open(): { readonly errno: number } {
    return { errno: errnoOf("ENOSYS") };
  }
}
