import { isUtf8 } from "node:buffer";
import { type ErrorCode, ShortlistError } from "../errors.js";

/** Largest number of arrays and objects that a value may be nested in. */
const MAX_DEPTH = 64;

/**
 * Parses the JSON of a file that a program wrote, as strictly as native/core/json.cc (docs/formats.md): UTF-8 without a
 * byte order mark, no name twice in an object, no numbers outside the range of float64, no lone surrogates, and no
 * value nested in more than 64 others. Throws an error of `code` that starts with `where`.
 */
export function parseStrictJson(bytes: Uint8Array, where: string, code: ErrorCode): unknown {
  const fail = (problem: string, cause?: unknown): never => {
    throw new ShortlistError(code, `${where}: Expected JSON but ${problem}`, { cause });
  };
  if (!isUtf8(bytes)) fail("received bytes that are not UTF-8");
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    fail((cause as Error).message, cause);
  }
  const problem = findProblem(text);
  if (problem) fail(problem);
  return value;
}

/** Returns what is wrong with a text that JSON.parse accepts; undefined if nothing is. */
function findProblem(text: string): string | undefined {
  /** The names so far of each enclosing object; undefined for an enclosing array. */
  const open: (Set<string> | undefined)[] = [];
  let nameFollows = false;
  for (let at = 0; at < text.length; ) {
    const start = at++;
    const c = text[start]!;
    if (c === "{" || c === "[" || c === '"' || isScalar(c)) {
      if (!nameFollows && open.length > MAX_DEPTH)
        return `a value at character ${start} is inside more than ${MAX_DEPTH} others`;
    }
    if (c === "{" || c === "[") {
      open.push(c === "{" ? new Set() : undefined);
      nameFollows = c === "{";
    } else if (c === "}" || c === "]") {
      open.pop();
      nameFollows = false;
    } else if (c === ",") {
      nameFollows = open.at(-1) !== undefined;
    } else if (c === ":") {
      nameFollows = false;
    } else if (c === '"') {
      at = endOfString(text, at);
      const string = text.slice(start, at);
      const value = string.includes("\\") ? (JSON.parse(string) as string) : string.slice(1, -1);
      if (!isWellFormed(value)) return `a text at character ${start} has half a surrogate pair`;
      const names = nameFollows ? open.at(-1) : undefined;
      if (names?.has(value)) return `received the name ${string.slice(0, 60)} again at character ${start}`;
      names?.add(value);
    } else if (isScalar(c)) {
      while (isScalar(text[at] ?? "")) at++;
      if (Math.abs(Number(text.slice(start, at))) === Number.POSITIVE_INFINITY) {
        return `received a number at character ${start} that a float64 cannot hold`;
      }
    }
  }
  return undefined;
}

/** Returns the index after the closing quote. */
function endOfString(text: string, at: number): number {
  while (text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at + 1;
}

/** Whether a character belongs to a number, true, false or null. */
function isScalar(c: string): boolean {
  return (c >= "0" && c <= "9") || (c >= "a" && c <= "z") || c === "-" || c === "+" || c === "." || c === "E";
}

/** Whether every surrogate is part of a pair (String.prototype.isWellFormed). */
function isWellFormed(text: string): boolean {
  return !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text);
}
