import { test } from "uvu";
import { cases } from "../../bench/cases/rowwise_adagrad.js";
import { checkCases } from "./harness.js";

checkCases(cases);

test.run();
