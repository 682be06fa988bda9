import { test } from "uvu";
import { cases } from "../../bench/cases/embedding_lookup.js";
import { checkCases } from "./harness.js";

checkCases(cases);

test.run();
