import { createHash, timingSafeEqual } from "node:crypto";
import { ShortlistError } from "../errors.js";

const digest = (text: string) => createHash("sha256").update(text).digest();

/** Returns a check of the header `Authorization`, which throws ERR_ACCESS unless it has the token. */
export function tokenCheck(token: string): (header: string | undefined) => void {
  const expected = digest(token);
  return (header) => {
    const [, given] = /^Bearer +(\S+) *$/i.exec(header ?? "") ?? [];
    // Digests have equal lengths, and comparing them takes the same time whatever they are.
    if (given !== undefined && timingSafeEqual(digest(given), expected)) return;
    const received = header === undefined ? "none" : "another one";
    throw new ShortlistError(
      "ERR_ACCESS",
      `Expected the header "Authorization: Bearer TOKEN" with the token of the service but received ${received}`,
    );
  };
}
