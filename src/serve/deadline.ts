import { ShortlistError } from "../errors.js";
import type { Reply } from "./packages.js";

/** A signal that ends the work of a request when its time is over or its client has gone. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #reply: Reply;
  readonly #onClose = () => {
    if (!this.#reply.raw.writableFinished) this.#controller.abort(new ClientGoneError());
  };

  constructor(reply: Reply, ms: number) {
    this.#reply = reply;
    this.#timer = setTimeout(() => {
      const message = `Expected an answer within ${ms} ms but it takes longer. Ask for fewer users, or try again later`;
      this.#controller.abort(new ShortlistError("ERR_TIMEOUT", message));
    }, ms);
    reply.raw.once("close", this.#onClose);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#reply.raw.off("close", this.#onClose);
  }
}

/** The reason for which work ends whose client has closed the connection. */
export class ClientGoneError extends Error {
  override readonly name = "ClientGoneError";

  constructor() {
    super("The client closed the connection before the answer");
  }
}
