import { Readable } from "node:stream";
import { Turns } from "../data/turns.js";
import type { Reply } from "./packages.js";

/** Length at which pieces of a long answer are sent. */
const PIECE_LENGTH = 1 << 16;

/**
 * Sends an answer, or `{ "users": [answer, …] }`. The answers of many users are turned into JSON one by one, with pauses
 * for other requests, and sent while the next ones are.
 */
export function sendAnswers(reply: Reply, answers: object | readonly object[]): Reply {
  reply.type("application/json; charset=utf-8");
  if (!Array.isArray(answers)) return reply.send(JSON.stringify(answers));
  if (answers.length === 1) return reply.send(`{"users":[${JSON.stringify(answers[0])}]}`);
  return reply.send(Readable.from(piecesOf(answers), { objectMode: false }));
}

async function* piecesOf(answers: readonly object[]): AsyncGenerator<string> {
  const turns = new Turns();
  let piece = '{"users":[';
  for (const [i, answer] of answers.entries()) {
    piece += i > 0 ? `,${JSON.stringify(answer)}` : JSON.stringify(answer);
    if (piece.length >= PIECE_LENGTH) {
      yield piece;
      piece = "";
    }
    if (turns.isDue) await turns.take();
  }
  yield `${piece}]}`;
}
