import { test } from "uvu";
import { cases } from "../../bench/cases/l2_decay.js";
import { checkCases } from "./harness.js";

checkCases(cases);

test.run();
