// The best items of each sample by w·u + b, exactly: falling by score, equals by rising id, without the sample's
// excluded items and rows before skip_rows; −1 and −∞ where there are too few. log_partition[s] = log Σ exp(score) over
// all rows from skip_rows on. All outputs are =, alias nothing. A NaN score is never listed.
//
// Scores come in tiles of [items, samples] (scores.h). Each sample keeps a heap of its best so far, the worst on top, and
// a vector of samples is compared with the tops at once: almost always none is beaten. Few samples share their items in
// stripes, many are worked on block by block. The order of candidates is total, so the cut does not show in the result;
// log_partition's sum is taken stripe by stripe, and stripes depend on the numbers of items and samples alone.

#include "native/ops/excluded.h"
#include "native/ops/scores.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kWantedChunks = 32;
const int64_t kTilesPerStripe = 16;  // at least

enum Input { kUser, kWeight, kBias, kExcluded, kExcludedOffsets };
enum Output { kItems, kScore, kLogPartition };

void check_top(const Call& call) {
  const Tensor& user = call.input(kUser);
  const Tensor& weight = call.input(kWeight);
  check_scores(call, user, weight, call.inputs[kBias]);
  expect(call, call.output(kItems).rows == user.rows, "items [samples, top]");
  expect(call, same_shape(call.output(kItems), call.output(kScore)), "score of items' shape");
  expect(call, is_shape(call.output(kLogPartition), user.rows, 1), "log_partition [samples]");
  check_excluded(call, call.input(kExcluded), call.input(kExcludedOffsets), user.rows, weight.rows);
}

struct Entry {
  float score;
  int32_t item;
};

SHORTLIST_INLINE bool is_worse(Entry a, Entry b) { return a.score < b.score || (a.score == b.score && a.item > b.item); }

// Puts `entry` into the heap entries[0 … size) at `at` or below; no entry is worse than the one above it.
SHORTLIST_INLINE void sink(Entry* entries, int64_t size, int64_t at, Entry entry) {
  for (int64_t child = 2 * at + 1; child < size; child = 2 * at + 1) {
    if (child + 1 < size && is_worse(entries[child + 1], entries[child])) ++child;
    if (!is_worse(entries[child], entry)) break;
    entries[at] = entries[child];
    at = child;
  }
  entries[at] = entry;
}

// Adds an entry to a heap of at most `top`; returns the new size.
SHORTLIST_INLINE int64_t offer(Entry* entries, int64_t size, int64_t top, Entry entry) {
  if (size == top) {
    if (top > 0 && is_worse(entries[0], entry)) sink(entries, size, 0, entry);
    return size;
  }
  int64_t at = size;
  for (; at > 0 && is_worse(entry, entries[(at - 1) / 2]); at = (at - 1) / 2) entries[at] = entries[(at - 1) / 2];
  entries[at] = entry;
  return size + 1;
}

struct Selection {
  Entry* entries;  // [samples of the tile, top]
  int64_t top;
  int64_t size[kSamplesPerTile];
  // A score enters where it is not ≤ its threshold: NaN lets all in (the heap is not full), +∞ none (no such sample).
  float threshold[kSamplesPerTile];

  void start(int64_t samples) {
    for (int64_t c = 0; c < kSamplesPerTile; ++c) {
      size[c] = 0;
      threshold[c] = c < samples && top > 0 ? __builtin_nanf("") : __builtin_inff();
    }
  }

  void add(int64_t column, Entry entry) {
    size[column] = offer(entries + column * top, size[column], top, entry);
    if (size[column] == top) threshold[column] = entries[column * top].score;
  }

  SHORTLIST_INLINE void add_tile(const float* tile, int64_t first_item, int64_t items, int64_t first_sample, int64_t samples,
                                 const Excluded& excluded) {
    for (int64_t i = 0; i < items; ++i) {
      const float* row = tile + i * kSamplesPerTile;
      for (int64_t c = 0; c < samples; c += kLanes) {
        const vi beaten = ~(load(row + c) <= load(threshold + c));
        if (__builtin_expect(!any(beaten), 1)) continue;
        const int32_t item = static_cast<int32_t>(first_item + i);
        for (int64_t lane = 0; lane < kLanes; ++lane) {
          const float score = row[c + lane];
          if (score <= threshold[c + lane] || score != score || c + lane >= samples) continue;
          if (!excluded.holds(first_sample + c + lane, item)) add(c + lane, {score, item});
        }
      }
    }
  }
};

void find_top(const Call& call) {
  const Tensor& user = call.input(kUser);
  const Tensor& items = call.output(kItems);
  const Tensor& score = call.output(kScore);
  float* log_partition = call.output(kLogPartition).f32();
  const int64_t samples = user.rows, top = items.columns, rows = call.input(kWeight).rows;
  const Excluded excluded = excluded_of(call, call.input(kExcluded), call.input(kExcludedOffsets));
  const Scorer scorer = scorer_of(call, user, call.input(kWeight), call.inputs[kBias]);
  const int64_t blocks = (samples + kSamplesPerTile - 1) / kSamplesPerTile, padded = blocks * kSamplesPerTile;
  if (samples == 0) return;
  const int64_t wanted = (kWantedChunks + blocks - 1) / blocks, possible = rows / (kItemsPerTile * kTilesPerStripe) + 1;
  const Stripes stripes = stripes_of(skipped_rows(call), rows, wanted < possible ? wanted : possible);
  float* most = float_scratch(call, stripes.count * padded);  // [stripes, padded]
  float* sum = float_scratch(call, stripes.count * padded);
  int32_t* sizes = int_scratch(call, stripes.count * padded);
  Entry* entries = static_cast<Entry*>(scratch(call, 2 * stripes.count * padded * top));  // [stripes, padded, top]
  parallel(call, stripes.count * blocks, [&](int64_t chunk) {
    const int64_t stripe = chunk / blocks, first = chunk % blocks * kSamplesPerTile;
    const int64_t own = samples - first < kSamplesPerTile ? samples - first : kSamplesPerTile;
    const int64_t place = stripe * padded + first;
    alignas(64) float tile[kItemsPerTile * kSamplesPerTile];
    Partition partition;
    Selection selection;
    partition.clear();
    selection.entries = entries + place * top;
    selection.top = top;
    selection.start(own);
    for (int64_t i = stripes.begin(stripe); i < stripes.end(stripe); i += kItemsPerTile) {
      const int64_t count = stripes.end(stripe) - i < kItemsPerTile ? stripes.end(stripe) - i : kItemsPerTile;
      scorer.tile(i, count, first, own, tile, kSamplesPerTile);
      partition.add(tile, kSamplesPerTile, count, own);
      selection.add_tile(tile, i, count, first, own, excluded);
    }
    for (int64_t c = 0; c < own; ++c) {
      most[place + c] = partition.most[c];
      sum[place + c] = partition.sum[c];
      sizes[place + c] = static_cast<int32_t>(selection.size[c]);
    }
  });
  parallel_blocks(call, samples, 4, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      log_partition[s] = log_partition_of(most + s, sum + s, stripes.count, padded);
      Entry* best = entries + s * top;
      int64_t size = stripes.count > 0 ? sizes[s] : 0;
      for (int64_t stripe = 1; stripe < stripes.count; ++stripe) {
        const Entry* from = entries + (stripe * padded + s) * top;
        for (int32_t i = 0; i < sizes[stripe * padded + s]; ++i) size = offer(best, size, top, from[i]);
      }
      int32_t* items_to = items.i32() + s * items.stride;
      float* score_to = score.row(s);
      for (int64_t n = size; n < top; ++n) {
        items_to[n] = -1;
        score_to[n] = -__builtin_inff();
      }
      while (size > 0) {
        --size;
        items_to[size] = best[0].item;
        score_to[size] = best[0].score;
        sink(best, size, 0, best[size]);
      }
    }
  });
}

const char* const kInputs[] = {"user", "weight", "bias?", "excluded", "excluded_offsets", nullptr};
const char* const kOutputs[] = {"items", "score", "log_partition", nullptr};

}  // namespace

extern const Op top_n = {"top_n", kInputs, kOutputs, check_top, find_top};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
