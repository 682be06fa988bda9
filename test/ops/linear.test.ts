import { test } from "uvu";
import { cases } from "../../bench/cases/linear.js";
import { checkCases } from "./harness.js";

checkCases(cases);

test.run();
