import { test } from "uvu";
import { cases } from "../../bench/cases/range_max.js";
import { checkCases } from "./harness.js";

checkCases(cases);

test.run();
