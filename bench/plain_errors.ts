// Errors in options are printed as one line, without a stack; other errors are printed with their stack.

import { ShortlistError } from "../src/errors.js";

process.on("uncaughtException", (error: Error & { readonly code?: string }) => {
  const told = error instanceof ShortlistError || error.code?.startsWith("ERR_PARSE_ARGS");
  console.error(told ? `error: ${error.message}` : error);
  process.exit(1);
});
