// Exact cross-entropy over all items from skip_rows on, with the scores x = w·u + b.
//
// forward   log_partition[s] = log Σ_i exp(x[s, i]);  loss[s] = log_partition[s] − x[s, target[s]]
// gradient  With e[s, i] = loss_gradient[s] · (exp(x[s, i] − log_partition[s]) − [i = target[s]]):
//           user_gradient = e · weight, weight_gradient = eᵀ · user, bias_gradient[i] = Σ_s e[s, i]. The gradients of
//           rows before skip_rows are 0.
//
// With keep_scores, forward stores x [items, samples], 0 before skip_rows, for the gradient. Otherwise all scores are
// never stored at once, and the gradient computes them again: four products in all instead of three, of the same bits.
//
// With precision "bf16" the operands of all products, which are w, u and e, are rounded to bfloat16; sums are float32.
//
// Outputs are overwritten. Nothing aliases.
//
// Both compute scores in tiles of [items, samples] (scores.h). The items are divided into stripes, depending on their
// number alone, and one thread at a time works on a stripe. The contributions of the stripes to a sample are summed in
// order.

#include "native/ops/scores.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kMostStripes = 32;
// The gradient's tiles have the samples of a slab as columns: 72 × 1024 scores are 288 KiB, which fit the L2 cache.
const int64_t kSamplesPerSlab = 1024;
// The rows of a tile would compete for a few sets of the L1 cache if their stride were a multiple of 1 KiB.
const int64_t kTilePadding = 16;

const int64_t kLossesPerChunk = 64;
const int64_t kUsersPerChunk = 32;  // rows of user_gradient, each a sum over all stripes

enum Input { kUser, kWeight, kBias, kTarget };
enum Output { kLoss, kLogPartition, kScores };

void check_forward(const Call& call) {
  const Tensor& user = call.input(kUser);
  check_scores(call, user, call.input(kWeight), call.inputs[kBias]);
  for (int i = 0; i < 2; ++i) expect(call, is_shape(call.output(i), user.rows, 1), "loss and log_partition [samples]");
  expect(call, is_shape(call.input(kTarget), user.rows, 1), "target [samples]");
  check_ids(call, call.input(kTarget), call.input(kWeight).rows, skipped_rows(call));
  check_precision(call);
  const bool has_scores = call.outputs[kScores].count > 0;
  expect(call, has_scores == flag_attribute(call, "keep_scores"), "scores if keep_scores is set");
  if (has_scores)
    expect(call, is_shape(call.output(kScores), call.input(kWeight).rows, user.rows), "scores [items, samples]");
}

// The rows of `scores` before the first candidate are 0.
void clear_scores(const Tensor& scores, int64_t rows) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t s = 0; s < scores.columns; ++s) scores.row(i)[s] = 0;
  }
}

// Copies a tile of scores to those of items from `first` on, for samples from `first_sample` on.
void keep_tile(const float* tile, int64_t items, int64_t samples, const Tensor& scores, int64_t first,
               int64_t first_sample) {
  for (int64_t i = 0; i < items; ++i) {
    for (int64_t c = 0; c < samples; c += kLanes) {
      store_upto(scores.row(first + i) + first_sample + c, load(tile + i * kSamplesPerTile + c), samples - c);
    }
  }
}

void forward(const Call& call) {
  const Tensor& user = call.input(kUser);
  const int32_t* target = call.input(kTarget).i32();
  float* loss = call.output(kLoss).f32();
  float* log_partition = call.output(kLogPartition).f32();
  const int64_t samples = user.rows;
  const Scorer scorer = scorer_of(call, user, call.input(kWeight), call.inputs[kBias], is_bf16(call));
  const Stripes stripes = stripes_of(skipped_rows(call), call.input(kWeight).rows, kMostStripes);
  const int64_t padded = sample_tiles(samples) * kSamplesPerTile;
  float* most = float_scratch(call, stripes.count * padded);  // [stripes, padded]
  float* sum = float_scratch(call, stripes.count * padded);
  const Tensor* const scores = call.outputs[kScores].count > 0 ? &call.output(kScores) : nullptr;
  if (scores) clear_scores(*scores, stripes.first);
  parallel_tiles(call, stripes.count, samples, [&](int64_t stripe, int64_t first, int64_t own) {
    alignas(64) float tile[kItemsPerTile * kSamplesPerTile];
    Partition partition;
    partition.clear();
    for (int64_t i = stripes.begin(stripe); i < stripes.end(stripe); i += kItemsPerTile) {
      const int64_t items = stripes.end(stripe) - i < kItemsPerTile ? stripes.end(stripe) - i : kItemsPerTile;
      // A whole tile is computed in its place among the scores.
      const bool in_place = scores && own == kSamplesPerTile;
      float* const to = in_place ? scores->row(i) + first : tile;
      const int64_t stride = in_place ? scores->stride : kSamplesPerTile;
      scorer.tile(i, items, first, own, to, stride);
      partition.add(to, stride, items, own);
      if (scores && !in_place) keep_tile(tile, items, own, *scores, i, first);
    }
    for (int64_t c = 0; c < own; ++c) {
      most[stripe * padded + first + c] = partition.most[c];
      sum[stripe * padded + first + c] = partition.sum[c];
    }
  });
  parallel_blocks(call, samples, kLossesPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      log_partition[s] = log_partition_of(most + s, sum + s, stripes.count, padded);
      loss[s] = log_partition[s] - scorer.score(target[s], s);
    }
  });
}

enum GradientInput {
  kLossGradient,
  kLogPartitionIn,
  kGradientUser,
  kGradientWeight,
  kGradientBias,
  kGradientTarget,
  kKeptScores
};
enum GradientOutput { kUserGradient, kWeightGradient, kBiasGradient };

void check_gradient(const Call& call) {
  const Tensor& user = call.input(kGradientUser);
  const Tensor& weight = call.input(kGradientWeight);
  check_scores(call, user, weight, call.inputs[kGradientBias]);
  expect(call, is_shape(call.input(kLossGradient), user.rows, 1), "loss_gradient [samples]");
  expect(call, is_shape(call.input(kLogPartitionIn), user.rows, 1), "log_partition [samples]");
  expect(call, is_shape(call.input(kGradientTarget), user.rows, 1), "target [samples]");
  expect(call, same_shape(call.output(kUserGradient), user), "user_gradient of user's shape");
  expect(call, same_shape(call.output(kWeightGradient), weight), "weight_gradient of weight's shape");
  check_precision(call);
  const bool has_bias_gradient = call.outputs[kBiasGradient].count > 0;
  expect(call, has_bias_gradient == call.has(kGradientBias), "bias_gradient for a bias");
  if (has_bias_gradient) expect(call, is_shape(call.output(kBiasGradient), weight.rows, 1), "bias_gradient [items]");
  check_ids(call, call.input(kGradientTarget), weight.rows, skipped_rows(call));
  if (call.has(kKeptScores))
    expect(call, is_shape(call.input(kKeptScores), weight.rows, user.rows), "scores [items, samples]");
}

// Scores of some items and samples: rows are `stride` apart.
struct ScoreRows {
  const float* data;
  int64_t stride;
};

// Writes e of a tile, from its scores, which may be in the tile. `by` is loss_gradient. Both `by` and `log_partition`
// are padded to whole vectors, with 0 and +∞, so that e is 0 there.
void scores_to_gradients(const ScoreRows& scores, float* tile, int64_t stride, int64_t items, int64_t samples,
                         const float* log_partition, const float* by, int64_t first_item, const int32_t* target) {
  for (int64_t i = 0; i < items; ++i) {
    for (int64_t c = 0; c < samples; c += kLanes) {
      const vf score = load_upto(scores.data + i * scores.stride + c, samples - c);
      store(tile + i * stride + c, load(by + c) * exponential(score - load(log_partition + c)));
    }
  }
  for (int64_t s = 0; s < samples; ++s) {
    const int64_t i = target[s] - first_item;
    if (i >= 0 && i < items) tile[i * stride + s] -= by[s];
  }
}

float* bias_gradient_of(const Call& call) {
  return call.outputs[kBiasGradient].count > 0 ? call.output(kBiasGradient).f32() : nullptr;
}

// A slab: some samples, with what all stripes read of them.
struct Slab {
  int64_t first;
  int64_t samples;
  int64_t padded;         // columns of a tile
  int64_t stride;         // elements between its rows
  const int32_t* target;  // [samples]
  float* log_partition;   // [padded + kLanes], +∞ after the last sample
  float* by;              // [padded + kLanes] loss_gradient, 0 after the last sample
  PackedMatrix users;     // [samples, width]
  Scorer scorer;          // of its samples
};

void start_slab(const Call& call, int64_t first, int64_t samples, Slab* slab) {
  const Tensor& user = call.input(kGradientUser);
  slab->first = first;
  slab->samples = samples;
  slab->target = call.input(kGradientTarget).i32() + first;
  for (int64_t s = 0; s < slab->padded; ++s) {
    slab->log_partition[s] = s < samples ? call.input(kLogPartitionIn).f32()[first + s] : __builtin_inff();
    slab->by[s] = s < samples ? call.input(kLossGradient).f32()[first + s] : 0;
  }
  slab->users.k = slab->scorer.packed.n = samples;
  slab->scorer.user = user;
  slab->scorer.user.data = user.row(first);
  pack(call, slab->users, {user.row(first), user.stride, 1});
  if (!call.has(kKeptScores)) pack(call, slab->scorer.packed, {user.row(first), 1, user.stride});
}

// Computes e for items [begin, end), and from it their gradients, and their part of the user gradients: `partial`
// [samples, width]. `tile` and `packed_items` are the thread's memory.
void run_stripe(const Call& call, const Slab& slab, int64_t begin, int64_t end, float* tile, float* packed_items,
                float* partial) {
  const Tensor& weight = slab.scorer.weight;
  const Tensor& weight_gradient = call.output(kWeightGradient);
  float* const bias_gradient = bias_gradient_of(call);
  const int64_t width = weight.columns, samples = slab.samples, stride = slab.stride;
  for (int64_t i = begin; i < end; i += kItemsPerTile) {
    const int64_t items = end - i < kItemsPerTile ? end - i : kItemsPerTile;
    ScoreRows scores = {tile, stride};
    if (call.has(kKeptScores)) {
      scores = {call.input(kKeptScores).row(i) + slab.first, call.input(kKeptScores).stride};
    } else {
      slab.scorer.tile(i, items, 0, samples, tile, stride);
    }
    scores_to_gradients(scores, tile, stride, items, samples, slab.log_partition, slab.by, i, slab.target);
    for (int64_t r = 0; bias_gradient && r < items; ++r) {
      vf sum = vf{};
      for (int64_t c = 0; c < samples; c += kLanes) sum += load_upto(tile + r * stride + c, samples - c);
      bias_gradient[i + r] = (slab.first > 0 ? bias_gradient[i + r] : 0) + sum_of_lanes(sum);
    }
    // Products of pairs round e themselves.
    for (int64_t r = 0; slab.users.bf16 && !kBf16Dots && r < items; ++r) {
      copy_row(tile + r * stride, tile + r * stride, samples, true);
    }
    Epilogue to_weight, to_user;
    to_weight.accumulate = slab.first > 0;
    to_user.accumulate = i > begin;
    multiply_packed(items, 0, width, {tile, stride, 1}, slab.users, weight_gradient.row(i), weight_gradient.stride,
                    to_weight);
    const PackedMatrix own_rows = {packed_items, items, width, slab.users.bf16};
    pack(own_rows, {weight.row(i), weight.stride, 1});
    multiply_packed(samples, 0, width, {tile, 1, stride}, own_rows, partial, width, to_user);
  }
}

// user_gradient of the slab's samples = Σ over the stripes of `partials`, which are `partial_elements` apart.
void sum_partials(const Call& call, const Slab& slab, const float* partials, int64_t stripes,
                  int64_t partial_elements) {
  const Tensor& user_gradient = call.output(kUserGradient);
  const int64_t width = user_gradient.columns;
  parallel_blocks(call, slab.samples, kUsersPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      float* __restrict to = user_gradient.row(slab.first + s);
      for (int64_t c = 0; c < width; ++c) to[c] = 0;
      for (int64_t stripe = 0; stripe < stripes; ++stripe) {
        const float* __restrict from = partials + stripe * partial_elements + s * width;
        for (int64_t c = 0; c < width; ++c) to[c] += from[c];
      }
    }
  });
}

// Sets the gradients of items [0, count) to 0.
void clear_items(const Call& call, int64_t count) {
  const Tensor& weight_gradient = call.output(kWeightGradient);
  float* const bias_gradient = bias_gradient_of(call);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t c = 0; c < weight_gradient.columns; ++c) weight_gradient.row(i)[c] = 0;
    if (bias_gradient) bias_gradient[i] = 0;
  }
}

void gradient(const Call& call) {
  const Tensor& weight = call.input(kGradientWeight);
  const int64_t width = weight.columns, samples = call.input(kGradientUser).rows;
  const bool bf16 = is_bf16(call);
  const Stripes stripes = stripes_of(skipped_rows(call), weight.rows, kMostStripes);
  clear_items(call, samples > 0 ? stripes.first : weight.rows);

  const int64_t most = samples < kSamplesPerSlab ? samples : kSamplesPerSlab;
  const int64_t padded = round_up(most, kTileColumns), stride = padded + kTilePadding;
  const int64_t tile_elements = kItemsPerTile * stride;
  const int64_t own_elements = round_up(tile_elements + round_up(packed_elements(kItemsPerTile, width), 16), 16);
  const int64_t partial_elements = round_up(most * width, 16);
  float* const buffers = float_scratch(call, worker_count(call) * own_elements);
  float* const partials = float_scratch(call, stripes.count * partial_elements);
  const float* const bias = call.has(kGradientBias) ? call.input(kGradientBias).f32() : nullptr;
  float* const packed_users = float_scratch(call, packed_elements(most, width));
  float* const packed_user_columns = float_scratch(call, packed_elements(width, most));
  Slab slab = {0,
               0,
               padded,
               stride,
               nullptr,
               float_scratch(call, padded + kLanes),
               float_scratch(call, padded + kLanes),
               {packed_users, 0, width, bf16},
               {call.input(kGradientUser),
                {packed_user_columns, width, 0, bf16},
                weight,
                bias,
                rounded_items(call, weight, bf16)}};
  for (int64_t first = 0; first < samples; first += kSamplesPerSlab) {
    start_slab(call, first, samples - first < most ? samples - first : most, &slab);
    parallel(call, stripes.count, [&](int64_t stripe) {
      float* const tile = buffers + this_worker() * own_elements;
      run_stripe(call, slab, stripes.begin(stripe), stripes.end(stripe), tile, tile + tile_elements,
                 partials + stripe * partial_elements);
    });
    sum_partials(call, slab, partials, stripes.count, partial_elements);
  }
}

const SlotType kForwardInputs[] = {float32("user", 2), float32("weight", 2), optional(float32("bias", 1)),
                                   int32("target", 1), kNoSlot};
const SlotType kForwardOutputs[] = {float32("loss", 1), float32("log_partition", 1), optional(float32("scores", 2)),
                                    kNoSlot};
const SlotType kGradientInputs[] = {float32("loss_gradient", 1),
                                    float32("log_partition", 1),
                                    float32("user", 2),
                                    float32("weight", 2),
                                    optional(float32("bias", 1)),
                                    int32("target", 1),
                                    optional(float32("scores", 2)),
                                    kNoSlot};
const SlotType kGradientOutputs[] = {float32("user_gradient", 2), float32("weight_gradient", 2),
                                     optional(float32("bias_gradient", 1)), kNoSlot};

}  // namespace

extern const Op softmax = {"softmax", kForwardInputs, kForwardOutputs, check_forward, forward};
extern const Op softmax_gradient = {"softmax_gradient", kGradientInputs, kGradientOutputs, check_gradient, gradient};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
