import { test } from "uvu";
import { cases } from "../../bench/cases/add.js";
import { checkCases } from "./harness.js";

checkCases(cases);

test.run();
