/** Messages in the order of their arrival, for one reader that awaits them. */

export class Mailbox<Message> {
  readonly #messages: Message[] = [];
  #failure: { readonly error: Error } | null = null;
  #waiting: { readonly resolve: (message: Message) => void; readonly reject: (error: Error) => void } | null = null;

  put(message: Message): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) this.#messages.push(message);
    else waiting.resolve(message);
  }

  /** No message comes any more: who awaits one, now or later, gets the error once those that came are taken. */
  fail(error: Error): void {
    this.#failure ??= { error };
    this.#waiting?.reject(this.#failure.error);
    this.#waiting = null;
  }

  async next(): Promise<Message> {
    const message = this.#messages.shift();
    if (message !== undefined) return message;
    if (this.#failure !== null) throw this.#failure.error;
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }
}
