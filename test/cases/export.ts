// Writes corpus.jsonl: the cases that native checks replay, a line each, with the results of the reference. Run it after
// a change of the cases, of an op's operands or of the Program format (corpus.test.ts says when):
//
//   node --import tsx test/cases/export.ts

import { writeFileSync } from "node:fs";
import { allCases } from "./all_cases.js";
import { CORPUS, corpusCases } from "./corpus.js";

const lines = (await corpusCases(await allCases())).map((corpusCase) => JSON.stringify(corpusCase));
writeFileSync(CORPUS, `${lines.join("\n")}\n`);
console.log(`${lines.length} cases`);
