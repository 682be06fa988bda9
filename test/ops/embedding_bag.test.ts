import { test } from "uvu";
import { cases } from "../../bench/cases/embedding_bag.js";
import { checkCases } from "./harness.js";

checkCases(cases);

test.run();
