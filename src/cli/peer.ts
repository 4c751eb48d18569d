/**
 * A worker thread or a child process that does a part of a benchmark, as the command that starts it sees it.
 *
 * Both run the same module, which calls `servePeer` (peer-parent.ts). Messages are structured clones; the first that a peer
 * gets is its task. What it throws is thrown by `next`, and so is its unexpected end.
 */

import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { StoreError, type StoreErrorCode, type StoreErrorDetails } from "../errors.js";
import { Mailbox } from "./mailbox.js";

export const PEER_KINDS = ["thread", "process"] as const;
export type PeerKind = (typeof PEER_KINDS)[number];

/** What comes from a peer. */
export type PeerMessage<Report> =
  | { readonly kind: "report"; readonly report: Report }
  | { readonly kind: "failure"; readonly failure: PeerFailure };

/** An error, which loses its class and its code on the way. */
export interface PeerFailure {
  /** Null for what is no `StoreError`. */
  readonly code: StoreErrorCode | null;
  readonly message: string;
  readonly details: StoreErrorDetails;
}

/** What thread and process have in common. */
interface Connection {
  send(message: unknown): void;
  kill(): void;
}

export class Peer<Task, Order, Report> {
  readonly #reports = new Mailbox<Report>();
  readonly #connection: Connection;
  readonly #ended: Promise<void>;
  readonly #kill = (): void => this.#connection.kill();
  #failure: Error | null = null;

  /** Starts the module at that URL. It is killed when the signal aborts. */
  constructor(kind: PeerKind, module: URL, task: Task, signal: AbortSignal) {
    const { promise: ended, resolve } = withResolver();
    this.#ended = ended;
    const onMessage = (message: PeerMessage<Report>): void => {
      if (message.kind === "report") this.#reports.put(message.report);
      else this.#fail(errorOf(message.failure));
    };
    const onEnd = (error: Error | null): void => {
      if (error === null)
        this.#reports.fail(new Error("a part of the benchmark has ended and has nothing more to report"));
      else this.#fail(error);
      signal.removeEventListener("abort", this.#kill);
      resolve();
    };
    this.#connection =
      kind === "thread" ? startThread(module, onMessage, onEnd) : startProcess(module, onMessage, onEnd);
    signal.addEventListener("abort", this.#kill);
    this.#connection.send(task);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#reports.fail(error);
  }

  send(order: Order): void {
    this.#connection.send(order);
  }

  /** The next report. Throws what the peer threw, and when it ended without one. */
  next(): Promise<Report> {
    return this.#reports.next();
  }

  /** Ends it there and then; a process by SIGKILL. Resolves when it is gone. */
  kill(): Promise<void> {
    this.#connection.kill();
    return this.#ended;
  }

  /** Resolves when it has ended by itself. Throws what it threw instead of a report. */
  async finish(): Promise<void> {
    await this.#ended;
    if (this.#failure !== null) throw this.#failure;
  }
}

function startThread<Report>(
  module: URL,
  onMessage: (message: PeerMessage<Report>) => void,
  onEnd: (error: Error | null) => void,
): Connection {
  const worker = new Worker(module);
  let failure: Error | null = null;
  worker.on("message", onMessage);
  worker.on("error", (error: Error) => {
    failure = error;
  });
  worker.on("exit", (code) =>
    onEnd(failure ?? (code === 0 ? null : new Error(`a thread of the benchmark ended with ${code}`))),
  );
  return {
    send: (message) => worker.postMessage(message),
    kill: () => {
      worker.terminate().catch(() => {}); // its end is told
    },
  };
}

function startProcess<Report>(
  module: URL,
  onMessage: (message: PeerMessage<Report>) => void,
  onEnd: (error: Error | null) => void,
): Connection {
  const stdio = ["ignore", "ignore", "inherit", "ipc"] as const;
  const child: ChildProcess = fork(fileURLToPath(module), { serialization: "advanced", stdio: [...stdio] });
  child.on("message", (message) => onMessage(message as PeerMessage<Report>));
  child.on("error", onEnd);
  child.on("close", (code, signal) =>
    onEnd(code === 0 ? null : new Error(`a process of the benchmark ended with ${signal ?? code}`)),
  );
  return {
    // One that has gone is told by its end.
    send: (message) => child.send(message as object, () => {}),
    kill: () => {
      child.kill("SIGKILL");
    },
  };
}

function errorOf({ code, message, details }: PeerFailure): Error {
  return code === null ? new Error(message) : new StoreError(code, message, details);
}

function withResolver(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
