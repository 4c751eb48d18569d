/** Preloaded into every thread of a process: writes each pair of key and nonce that is used to the file that VARVE_NONCE_FILE names, at once. */

import { subscribe } from "node:diagnostics_channel";
import { appendFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

const path = process.env["VARVE_NONCE_FILE"];
if (path !== undefined) {
  subscribe("varve:nonce", (message) => {
    const { keyFingerprint, nonce } = message as { keyFingerprint: string; nonce: string };
    appendFileSync(path, `${keyFingerprint} ${nonce} ${isMainThread ? "main" : "worker"}\n`);
  });
}
