import type { Vocabulary } from "./vocabulary.js";

/** Largest number of past queries that predict a click (Covington et al. 2016, section 3.3, has 50). */
export const SEARCH_WINDOW = 50;

/** Number of queries whose tokens are kept, because many queries of a log are repeats. */
const MAX_CACHED_QUERIES = 1 << 16;

/** A word: letters, digits and the marks that belong to them. */
const WORD = /[\p{L}\p{N}][\p{L}\p{N}\p{M}]*/gu;
const ASCII_WORD = /[a-z0-9]+/g;
const IS_ASCII = /^[\0-\x7f]*$/;

/** Characters other than those of ASCII, each with its compatibility form in lower case. */
const folded = new Map<string, string>();

/**
 * Returns the compatibility form of a character (NFKC) in lower case. Characters are folded one by one, so that
 * libshortlist does the same with a table (native/data/words.cc). A final sigma is a sigma.
 */
export function foldCharacter(character: string): string {
  const known = folded.get(character);
  if (known !== undefined) return known;
  const fold = character.normalize("NFKC").toLowerCase().normalize("NFKC").replaceAll("ς", "σ");
  folded.set(character, fold);
  return fold;
}

/** Returns the words of a text in lower case: runs of letters and digits. */
export function wordsOf(text: string): string[] {
  if (IS_ASCII.test(text)) return text.toLowerCase().match(ASCII_WORD) ?? [];
  let fold = "";
  for (const character of text) fold += foldCharacter(character);
  return fold.match(WORD) ?? [];
}

/** Returns the tokens of a query: its words, then its pairs of neighbouring words, with a space between them. */
export function queryTokens(query: string): string[] {
  const words = wordsOf(query);
  return [...words, ...words.slice(1).map((word, i) => `${words[i]} ${word}`)];
}

/** Returns the words of a query whose tokens these are. */
export function wordsOfTokens(tokens: readonly string[]): string[] {
  return tokens.filter((token) => !token.includes(" "));
}

/** Looks up the tokens of queries. */
export class SearchLookup {
  readonly #vocabulary: Vocabulary;
  readonly #seen = new Map<string, readonly number[]>();

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  /** Returns the ids of the tokens of a query that the vocabulary holds. */
  idsOf(query: string): readonly number[] {
    const known = this.#seen.get(query);
    if (known) return known;
    const ids = queryTokens(query).flatMap((token) => this.#vocabulary.idOf(token) || []);
    if (this.#seen.size >= MAX_CACHED_QUERIES) this.#seen.clear();
    this.#seen.set(query, ids);
    return ids;
  }
}
