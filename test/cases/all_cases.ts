import { readdirSync } from "node:fs";
import type { OpCase } from "./case.js";

const FOLDER = new URL("./ops/", import.meta.url);

/** The names of the files in `ops`, one for each op that has cases. */
export const CASE_FILES: readonly string[] = readdirSync(FOLDER)
  .map((file) => file.replace(/\.ts$/, ""))
  .sort();

/** The cases of every op. */
export async function allCases(): Promise<OpCase[]> {
  const modules = await Promise.all(
    CASE_FILES.map((file) => import(new URL(`${file}.ts`, FOLDER).href) as Promise<{ cases: readonly OpCase[] }>),
  );
  return modules.flatMap(({ cases }) => cases);
}
