import { ShortlistError } from "../index.js";

/** Messages with which Node reports that something does not fit in memory. */
const TOO_LARGE = /allocation failed|invalid (typed )?array (buffer )?length|invalid string length|out of memory/i;

/** Describes an error in one line, or in the lines of one of our own messages. */
export function describeError(error: unknown): string {
  if (error instanceof ShortlistError) return error.message;
  const { code, syscall, message = String(error) } = (error ?? {}) as NodeJS.ErrnoException;
  const [line] = message.split("\n");
  if (TOO_LARGE.test(message)) return `There is not enough memory for this (${line})`;
  if (syscall) return `The operating system refused ${syscall}: ${line}`;
  const name = error instanceof Error ? error.constructor.name : "value";
  return `Unexpected ${code ?? name}: ${line}. This is a bug in Shortlist: SHORTLIST_STACK=1 prints the stack trace`;
}

export function describeOutputError({ code, message }: NodeJS.ErrnoException): string {
  return `Cannot write to standard output: ${code === "ENOSPC" ? "the disk is full" : message}`;
}
