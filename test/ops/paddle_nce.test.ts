import { test } from "uvu";
import { cases } from "../../bench/cases/paddle_nce.js";
import { checkCases } from "./harness.js";

checkCases(cases);

test.run();
