import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Contender } from "../contender.js";

/** After its turn, a peer's threads may still spin while they wait for work. The other side waits until they sleep. */
const SETTLE_MILLISECONDS = 50;

/** The process of a peer, which keeps running. Requests and answers are JSON, one per line (see peer.py). */
export class Peer {
  readonly #process: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  #errors = "";

  constructor(command: string, args: readonly string[]) {
    this.#process = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
    this.#process.stderr!.on("data", (chunk) => {
      this.#errors = (this.#errors + chunk).slice(-4000);
    });
    this.#process.on("error", (error) => {
      this.#errors += error.message;
    });
    this.#process.stdin!.on("error", () => {});
    this.#answers = createInterface({ input: this.#process.stdout! })[Symbol.asyncIterator]();
  }

  async ask(request: Record<string, unknown>): Promise<Record<string, unknown>> {
    this.#process.stdin!.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#answers.next();
    if (done) throw new Error(`The peer has ended. ${this.#errors.trim()}`);
    const answer = JSON.parse(value) as Record<string, unknown>;
    if (typeof answer["error"] === "string") throw new Error(answer["error"]);
    return answer;
  }

  async contender(name: string, work: string, options: Record<string, unknown>): Promise<Contender> {
    const { handle } = await this.ask({ call: "prepare", work, ...options });
    return {
      name,
      measure: async (seconds) => {
        const answer = await this.ask({ call: "measure", handle, seconds });
        await new Promise((resolve) => setTimeout(resolve, SETTLE_MILLISECONDS));
        return answer["seconds"] as number;
      },
      close: async () => {
        await this.ask({ call: "close", handle });
      },
    };
  }

  close(): void {
    this.#process.stdin!.end();
  }
}
