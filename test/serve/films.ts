import { writeFile } from "node:fs/promises";
import { prepareTables } from "../../src/index.js";

/** Made-up films by genre. Their ids are f1, f2, …, in this order. */
const TITLES: Readonly<Record<string, readonly string[]>> = {
  mystery: [
    ...["The Lantern Keeper", "Nine Keys to Alder House", "A Quiet Alibi", "The Clockmaker’s Niece"],
    ...["Fog over Pier Nine", "The Second Witness", "Letters to Nobody", "The Velvet Ledger"],
  ],
  space: [
    ...["Orbit of Glass", "The Last Relay", "Beyond Station Twelve", "Silent Perihelion"],
    ...["A Map of Dust", "The Titan Garden", "Slow Light", "Return Window"],
  ],
  comedy: [
    ...["My Neighbour’s Goat", "Two Weddings and a Tractor", "The Wrong Umbrella", "Dinner at Half Past"],
    ...["The Accidental Mayor", "Room for One Llama", "Late for Everything", "The Piano Movers"],
  ],
  western: [
    ...["Dust and Daughters", "The Copper Trail", "Three Miles to Redwater", "A Horse Called Thursday"],
    ...["The Last Stagecoach Home", "Silver at Noon", "Widow’s Canyon", "The Long Fence"],
  ],
  nature: [
    ...["Under the Kelp", "A Year of Owls", "The Glacier’s Edge", "Salt Marsh at Dawn"],
    ...["Wolves at the Orchard", "The Patient Heron", "Rivers of Ash", "Where Moss Grows"],
  ],
  music: [
    ...["Half a Tone Down", "The Basement Choir", "Encore in Lisbon", "Blue Metronome"],
    ...["The Tuning Fork", "Songs for the Ferry", "A Band of Sisters", "Vinyl Summer"],
  ],
};
const MOODS = ["slow", "tense", "warm", "funny", "dark"];
const COUNTRIES = ["Norway", "Chile", "Japan", "Kenya"];
const EVENTS_PER_USER = 8;

/**
 * Prepares a dataset of made-up films with titles and attributes, and of users who mostly watch the films of one genre
 * in their order. Films with further titles can be added. Needs DuckDB's package.
 */
export async function prepareFilms(
  at: (name: string) => string,
  { users = 240, titles = [] }: { readonly users?: number; readonly titles?: readonly string[] } = {},
): Promise<void> {
  const genres = Object.keys(TITLES);
  const films = [
    ...genres.flatMap((genre) => TITLES[genre]!.map((title) => ({ title, genre }))),
    ...titles.map((title) => ({ title, genre: genres[0]! })),
  ];
  const items = films.map(({ title, genre }, i) => {
    const moods = [MOODS[i % 5]!, MOODS[(i + 1 + (i % 4)) % 5]!];
    return JSON.stringify({ item_id: `f${i + 1}`, title, genre, decade: `${1970 + 10 * ((i * 7) % 6)}s`, moods });
  });
  const events = Array.from({ length: users * EVENTS_PER_USER }, (_, e) => {
    const [user, place] = [Math.floor(e / EVENTS_PER_USER), e % EVENTS_PER_USER];
    // Every third film is of another genre; the last films are those with further titles.
    const genre = (user + (place % 3 === 2 ? 1 + (user % 5) : 0)) % genres.length;
    const film = user % 10 === 9 && place === 7 ? films.length - 1 : genre * 8 + ((user * 3 + place) % 8);
    return JSON.stringify({ user_id: `u${user}`, item_id: `f${film + 1}`, timestamp: 1_700_000_000 + e * 60 });
  });
  const people = Array.from({ length: users }, (_, u) =>
    JSON.stringify({ user_id: `u${u}`, age: 18 + ((u * 7) % 60), country: COUNTRIES[u % 4] }),
  );
  for (const [name, rows] of Object.entries({ events, items, people })) {
    await writeFile(at(`${name}.jsonl`), `${rows.join("\n")}\n`);
  }
  const source = {
    events: { files: [at("events.jsonl")] },
    items: {
      files: [at("items.jsonl")],
      features: [{ column: "genre" }, { column: "decade" }, { column: "moods", kind: "list" as const }],
    },
    users: {
      files: [at("people.jsonl")],
      features: [{ column: "age", kind: "number" as const }, { column: "country" }],
    },
  };
  await prepareTables({ source, output: at("dataset"), featureAppearLimit: 0 });
}
