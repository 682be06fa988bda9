const NEWLINE = 10;
/** Bytes of a piece of a text, but for the rest of its last line. */
const BYTES_AT_ONCE = 1 << 18;

/** Yields a text in pieces of whole lines, so that every piece of a text in UTF-8 is UTF-8. */
export function* wholeLines(bytes: Buffer): Generator<Buffer, void> {
  for (let from = 0; from < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, from + BYTES_AT_ONCE);
    const end = newline < 0 ? bytes.length : newline + 1;
    yield bytes.subarray(from, end);
    from = end;
  }
}

/** Number of newlines. */
export function countLines(bytes: Uint8Array): number {
  let lines = 0;
  for (let at = 0; at < bytes.length; at++) if (bytes[at] === NEWLINE) lines++;
  return lines;
}
