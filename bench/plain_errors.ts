// What is wrong with an option is told in a line, without the stack that an error of our own deserves.

import { ShortlistError } from "../src/errors.js";

process.on("uncaughtException", (error: Error & { readonly code?: string }) => {
  const told = error instanceof ShortlistError || error.code?.startsWith("ERR_PARSE_ARGS");
  console.error(told ? `error: ${error.message}` : error);
  process.exit(1);
});
