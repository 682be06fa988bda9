import { test } from "uvu";
import { cases } from "../cases/ops/multiply.js";
import { checkCases } from "./harness.js";

checkCases(cases);

test.run();
