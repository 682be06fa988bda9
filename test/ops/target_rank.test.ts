import { test } from "uvu";
import { cases } from "../../bench/cases/target_rank.js";
import { checkCases } from "./harness.js";

checkCases(cases);

test.run();
