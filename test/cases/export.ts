// Writes corpus.jsonl and networks.jsonl, which native checks replay. Each line is a case with the results of the
// reference. Run it after a change of the cases, of an op's operands, of the network or of the Program format;
// corpus.test.ts fails when that is necessary:
//
//   node --import tsx test/cases/export.ts

import { writeFileSync } from "node:fs";
import { allCases } from "./all_cases.js";
import { CORPUS, type CorpusCase, corpusCases, NETWORKS } from "./corpus.js";
import { networkCases } from "./networks.js";

function write(file: URL, cases: readonly CorpusCase[]): void {
  const lines = cases.map((corpusCase) => JSON.stringify(corpusCase));
  writeFileSync(file, `${lines.join("\n")}\n`);
  console.log(`${lines.length} cases`);
}

write(CORPUS, await corpusCases(await allCases()));
write(NETWORKS, await networkCases());
