import { test } from "uvu";
import { cases } from "../../bench/cases/sampled_softmax.js";
import { checkCases } from "./harness.js";

checkCases(cases);

test.run();
