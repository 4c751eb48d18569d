/** The command that started a peer (peer.ts), as the peer sees it. */

import { parentPort } from "node:worker_threads";
import { isStoreError } from "../errors.js";
import { Mailbox } from "./mailbox.js";
import type { PeerFailure, PeerMessage } from "./peer.js";

export interface PeerParent<Order, Report> {
  tell(report: Report): void;
  /** The next order. */
  next(): Promise<Order>;
}

/** Does the work for the task, tells the parent of a failure, and lets the thread or process end. */
export async function servePeer<Task, Order, Report>(
  work: (task: Task, parent: PeerParent<Order, Report>) => Promise<void>,
): Promise<void> {
  const messages = new Mailbox<Task | Order>();
  const post = connect((message) => messages.put(message as Task | Order));
  try {
    const task = (await messages.next()) as Task;
    await work(task, {
      tell: (report) => post.send({ kind: "report", report } satisfies PeerMessage<Report>),
      next: () => messages.next() as Promise<Order>,
    });
  } catch (error) {
    post.send({ kind: "failure", failure: failureOf(error) } satisfies PeerMessage<Report>);
  }
  await post.close();
}

interface Post {
  send(message: unknown): void;
  close(): Promise<void>;
}

function connect(onMessage: (message: unknown) => void): Post {
  if (parentPort !== null) {
    const port = parentPort;
    port.on("message", onMessage);
    return { send: (message) => port.postMessage(message), close: async () => port.close() };
  }
  // Whoever started it has died: nobody wants its figures, nor the load that it makes.
  const leave = (): void => process.exit(1);
  process.on("message", onMessage);
  process.on("disconnect", leave);
  let sent = Promise.resolve();
  return {
    send: (message) => {
      sent = new Promise((resolve) => {
        process.send?.(message, () => resolve());
      });
    },
    close: async () => {
      // Disconnecting would drop what is still on its way.
      await sent;
      process.off("disconnect", leave);
      process.disconnect();
    },
  };
}

function failureOf(error: unknown): PeerFailure {
  if (isStoreError(error)) return { code: error.code, message: error.message, details: error.details };
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: null, message, details: {} };
}
