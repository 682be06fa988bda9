import { candidateCases } from "../candidates.js";

export const cases = candidateCases("sampled_softmax");
