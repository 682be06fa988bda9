import { test } from "uvu";
import { cases } from "../../bench/cases/draw_negatives.js";
import { checkCases } from "./harness.js";

checkCases(cases);

test.run();
