// Escape sequences of click logs (docs/click_log.md), by which a value can contain the characters that separate values:
// a backslash and one of \ : ; _ stand for the second character, and \t stands for a tab.

const SEQUENCE = /\\([\\:;_t])/g;

// While a line is divided, a code unit that no text has stands for a sequence: the first half of a surrogate pair,
// without the second one.
const HALF = 0xd800;
const HALVES = /[\ud83a\ud83b\ud85c\ud85f\ud874]/gu;

const afterBackslash = (half: string) => String.fromCharCode(half.charCodeAt(0) - HALF);

/** Replaces each escape sequence by one code unit that separates nothing. The text must be well-formed Unicode. */
export function hideEscaped(text: string): string {
  return text.replace(SEQUENCE, (sequence) => String.fromCharCode(HALF + sequence.charCodeAt(1)));
}

/** Returns a part of a text from `hideEscaped` with the characters that its escape sequences stand for. */
export function showEscaped(part: string): string {
  return part.replace(HALVES, (half) => (afterBackslash(half) === "t" ? "\t" : afterBackslash(half)));
}

/** Returns a part of a text from `hideEscaped` as the log has it. */
export function asWritten(part: string): string {
  return part.replace(HALVES, (half) => `\\${afterBackslash(half)}`);
}

/** Writes a value for a place of a log in which each of `separators` would end it. */
export function escapeValue(value: string, separators: string): string {
  return value.replace(/[\\:;_\t]/g, (character) => {
    if (character !== "\\" && !separators.includes(character)) return character;
    return `\\${character === "\t" ? "t" : character}`;
  });
}

/** Writes an id for a line whose columns are divided by tabs. */
export function escapeTabs(id: string): string {
  return id.replaceAll("\t", "\\t");
}
