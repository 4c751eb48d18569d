/** The thread that reads the log for the graph. */

import { serveRows } from "../row-thread.js";
import { GRAPH_ROWS } from "./graph-rows.js";

await serveRows(GRAPH_ROWS);
