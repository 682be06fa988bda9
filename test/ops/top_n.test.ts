import { test } from "uvu";
import { cases } from "../../bench/cases/top_n.js";
import { checkCases } from "./harness.js";

checkCases(cases);

test.run();
