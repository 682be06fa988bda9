import { test } from "uvu";
import { cases } from "../../bench/cases/sort_rows.js";
import { checkCases } from "./harness.js";

checkCases(cases);

test.run();
