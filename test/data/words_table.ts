import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { foldCharacter } from "../../src/data/searches.js";

// Writes native/data/words.inc, the tables with which libshortlist divides queries into words, from the Unicode data of
// Node: `node --import tsx test/data/words_table.ts`. test/data/searches.test.ts compares the two.

const LETTER = /^[\p{L}\p{N}]$/u;
const MARK = /^\p{M}$/u;

/** All code points beyond ASCII that are characters. */
function* codePoints(): Generator<number> {
  for (let point = 0x80; point <= 0x10ffff; point++) if (point < 0xd800 || point > 0xdfff) yield point;
}

/** The ranges of the code points for which a test holds. */
function rangesOf(test: RegExp): [first: number, last: number][] {
  const ranges: [number, number][] = [];
  for (const point of codePoints()) {
    if (!test.test(String.fromCodePoint(point))) continue;
    if (ranges.at(-1)?.[1] === point - 1) ranges.at(-1)![1] = point;
    else ranges.push([point, point]);
  }
  return ranges;
}

interface Run {
  first: number;
  last: number;
  step: number;
  readonly delta: number;
}

const runs: Run[] = [];
const expansions: [point: number, at: number, count: number][] = [];
let pool = "";

for (const point of codePoints()) {
  const character = String.fromCodePoint(point);
  const fold = foldCharacter(character);
  const isWord = (text: string) => /[\p{L}\p{N}\p{M}]/u.test(text);
  if (fold === character || (!isWord(character) && !isWord(fold))) continue;
  const points = [...fold];
  if (points.length === 1) addRun(point, points[0]!.codePointAt(0)! - point);
  else expansions.push([point, placeOf(fold), points.length]);
}

function addRun(point: number, delta: number): void {
  const run = runs.at(-1);
  const step = run ? point - run.last : 0;
  const continues = run && run.delta === delta && step <= 2 && (run.first === run.last || run.step === step);
  if (continues) Object.assign(run, { last: point, step });
  else runs.push({ first: point, last: point, step: 1, delta });
}

/** Index of the first code point of a text in the pool, to which it is added if it is not there. */
function placeOf(fold: string): number {
  const found = pool.indexOf(fold);
  if (found < 0) pool += fold;
  return [...pool.slice(0, found < 0 ? pool.length - fold.length : found)].length;
}

const hex = (value: number) => `0x${value.toString(16)}`;

function table(type: string, name: string, rows: readonly string[]): string {
  const lines: string[] = [];
  for (const row of rows) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + row.length < 116) lines[lines.length - 1] = `${line} ${row},`;
    else lines.push(`    ${row},`);
  }
  return `const ${type} ${name}[] = {\n${lines.join("\n")}\n};\n`;
}

const range = ([first, last]: [number, number]) => `{${hex(first)}, ${hex(last)}}`;
const parts = [
  `// Unicode ${process.versions.unicode}, written by test/data/words_table.ts. All tables leave out ASCII.\n`,
  `// Letters and numbers.\n${table("Range", "kLetters", rangesOf(LETTER).map(range))}`,
  `// Marks.\n${table("Range", "kMarks", rangesOf(MARK).map(range))}`,
  `// Code points that are folded to one other.\n${table(
    "Run",
    "kRuns",
    runs.map(({ first, last, step, delta }) => `{${hex(first)}, ${hex(last)}, ${step}, ${delta}}`),
  )}`,
  `// Code points that are folded to several.\n${table(
    "Expansion",
    "kExpansions",
    expansions.map(([point, at, count]) => `{${hex(point)}, ${at}, ${count}}`),
  )}`,
  table(
    "uint32_t",
    "kPool",
    [...pool].map((character) => hex(character.codePointAt(0)!)),
  ),
];
writeFileSync(fileURLToPath(new URL("../../native/data/words.inc", import.meta.url)), parts.join("\n"));
