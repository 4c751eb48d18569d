/** The page of changes that is always there. */

import { assert } from "../../src/assert.js";
import type { ChangesPage, GraphResults } from "../../src/index.js";

export function firstPage(pages: GraphResults<ChangesPage>): ChangesPage {
  const page = pages.first();
  assert(page !== undefined, "there is a page, be it an empty one");
  return page;
}
