/** A worker thread of a simulated process: the one that makes checkpoints. It is a coroutine of the same thread, with modules of its own. */

/** What a thread is started with, and what it says. */
export interface WorkerThread {
  readonly workerData: unknown;
  readonly postMessage: (message: unknown) => void;
}
