import { adagradOp, adagradRowsOp } from "./adagrad.js";
import { adamOp, adamRowsOp } from "./adam.js";
import { addOp } from "./add.js";
import { candidateGradientOp } from "./candidate_gradient.js";
import { clipGradientsOp } from "./clip_gradients.js";
import { decayRowsOp } from "./decay_rows.js";
import { drawNegativesOp } from "./draw_negatives.js";
import { dropIdsOp } from "./drop_ids.js";
import { dropoutOp } from "./dropout.js";
import { embeddingBagGradientOp, embeddingBagOp } from "./embedding_bag.js";
import { embeddingLookupOp } from "./embedding_lookup.js";
import { fillOp } from "./fill.js";
import { groupSumOp } from "./group_sum.js";
import { l2DecayOp } from "./l2_decay.js";
import {
  linearBiasGradientOp,
  linearInputGradientOp,
  linearOp,
  linearWeightGradientOp,
  reluGradientOp,
} from "./linear.js";
import { lstmGradientOp, lstmOp } from "./lstm.js";
import { meanGradientOp, meanOp } from "./mean.js";
import { multiplyOp } from "./multiply.js";
import { nceOp } from "./nce.js";
import type { Op } from "./op.js";
import { paddleNceOp } from "./paddle_nce.js";
import { rangeLastGradientOp, rangeLastOp } from "./range_last.js";
import { rangeMaxGradientOp, rangeMaxOp } from "./range_max.js";
import { rowNumbersOp } from "./row_numbers.js";
import { rowwiseAdagradRowsOp } from "./rowwise_adagrad.js";
import { sampledSoftmaxOp } from "./sampled_softmax.js";
import { scatterAddOp } from "./scatter_add.js";
import { sgdOp, sgdRowsOp } from "./sgd.js";
import { softmaxGradientOp, softmaxOp } from "./softmax.js";
import { sortRowsOp } from "./sort_rows.js";
import { sumGradientOp, sumOp } from "./sum.js";
import { targetRankOp } from "./target_rank.js";
import { topNOp } from "./top_n.js";
import { topNAndRankOp } from "./top_n_and_rank.js";

export { type AdagradInputs, type AdagradOptions, type AdagradRowsInputs, adagrad, adagradRows } from "./adagrad.js";
export { type AdamInputs, type AdamOptions, type AdamRowsInputs, adam, adamRows } from "./adam.js";
export { add } from "./add.js";
export type { CandidateLossInputs, CandidateLossOptions } from "./candidate_gradient.js";
export { clipGradients } from "./clip_gradients.js";
export { type DecayRowsInputs, type DecayRowsOptions, decayRows } from "./decay_rows.js";
export { type DrawNegativesInputs, type DrawNegativesOptions, drawNegatives } from "./draw_negatives.js";
export { type DropIdsInputs, type DropIdsOptions, dropIds } from "./drop_ids.js";
export { type DropoutInputs, type DropoutOptions, dropout } from "./dropout.js";
export { type EmbeddingBagInputs, embeddingBag } from "./embedding_bag.js";
export { embeddingLookup } from "./embedding_lookup.js";
export { fill } from "./fill.js";
export { type L2DecayInputs, l2Decay } from "./l2_decay.js";
export { type LinearOptions, linear } from "./linear.js";
export { lossGradients } from "./loss_gradients.js";
export { type LstmInputs, type LstmOptions, lstm } from "./lstm.js";
export { mean } from "./mean.js";
export { multiply } from "./multiply.js";
export { nce } from "./nce.js";
export type { Precision } from "./numerics.js";
export { paddleNce } from "./paddle_nce.js";
export { type RangeLastInputs, rangeLast } from "./range_last.js";
export { type RangeMaxInputs, rangeMax } from "./range_max.js";
export { rowNumbers } from "./row_numbers.js";
export type { RowGradientInputs } from "./row_terms.js";
export { rowwiseAdagradRows } from "./rowwise_adagrad.js";
export { sampledSoftmax } from "./sampled_softmax.js";
export { type ScatterAddInputs, scatterAdd } from "./scatter_add.js";
export { type SgdInputs, sgd, sgdRows } from "./sgd.js";
export { type SoftmaxInputs, type SoftmaxOptions, softmax } from "./softmax.js";
export { type SortedRows, sortRows } from "./sort_rows.js";
export { sum } from "./sum.js";
export { type TargetRankInputs, targetRank } from "./target_rank.js";
export { type BestItems, type ScanInputs, type TopNOptions, topN } from "./top_n.js";

/** All ops that Programs can use, by name. */
export const OPS: ReadonlyMap<string, Op> = new Map(
  [
    embeddingLookupOp,
    embeddingBagOp,
    embeddingBagGradientOp,
    lstmOp,
    lstmGradientOp,
    rangeMaxOp,
    rangeMaxGradientOp,
    rangeLastOp,
    rangeLastGradientOp,
    dropoutOp,
    dropIdsOp,
    linearOp,
    reluGradientOp,
    linearInputGradientOp,
    linearWeightGradientOp,
    linearBiasGradientOp,
    groupSumOp,
    decayRowsOp,
    drawNegativesOp,
    nceOp,
    paddleNceOp,
    sampledSoftmaxOp,
    candidateGradientOp,
    softmaxOp,
    softmaxGradientOp,
    meanOp,
    meanGradientOp,
    sumOp,
    sumGradientOp,
    fillOp,
    addOp,
    multiplyOp,
    rowNumbersOp,
    l2DecayOp,
    clipGradientsOp,
    sortRowsOp,
    scatterAddOp,
    sgdOp,
    sgdRowsOp,
    adagradOp,
    adagradRowsOp,
    rowwiseAdagradRowsOp,
    adamOp,
    adamRowsOp,
    topNOp,
    targetRankOp,
    topNAndRankOp,
  ].map((op) => [op.name, op]),
);
