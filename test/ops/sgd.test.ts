import { test } from "uvu";
import { cases } from "../../bench/cases/sgd.js";
import { checkCases } from "./harness.js";

checkCases(cases);

test.run();
