#pragma once

#include "native/ops/item_sets.h"
#include "native/ops/operands.h"
#include "native/ops/tile.h"
#include "native/simd/vector.h"

// The best items of each query so far, for searches whose threads scan different items. Each thread has a list of its
// own for each query. When the list is full, it is reduced to the best `top` items, and the thread's threshold rises to
// the last of them. Threads tell each other their thresholds: an item below a threshold of any thread is not among the
// best. So the time of a search depends on which thread scans what, but its result does not, because the order of
// candidates is total and the lists together hold the best of all.

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

struct BestLists {
  int64_t queries;
  int64_t padded;  // queries, rounded up to whole panels and cache lines
  int64_t workers;
  int64_t top;
  int64_t capacity;  // of a list
  uint64_t* keys;    // [queries, workers, capacity]
  int32_t* sizes;    // [workers, padded]
  // [workers, padded] Scores below are not among the best. NaN, which no score reaches, for padding.
  float* thresholds;
  float* shared;  // [padded]: the largest threshold of all workers
  ItemSets excluded;

  SHORTLIST_INLINE uint64_t* keys_of(int64_t query, int64_t worker) const {
    return keys + (query * workers + worker) * capacity;
  }
};

SHORTLIST_INLINE BestLists lists_of(const Call& call, int64_t queries, int64_t top, int64_t capacity) {
  BestLists lists = {};
  lists.queries = queries;
  lists.padded = round_up(round_up(queries, kTileColumns), 16);
  lists.workers = worker_count(call);
  lists.top = top;
  lists.capacity = capacity;
  lists.keys = static_cast<uint64_t*>(scratch(call, 2 * queries * lists.workers * capacity));
  lists.sizes = int_scratch(call, lists.workers * lists.padded);
  lists.thresholds = float_scratch(call, lists.workers * lists.padded);
  lists.shared = float_scratch(call, lists.padded);
  for (int64_t i = 0; i < lists.workers * lists.padded; ++i) {
    lists.sizes[i] = 0;
    lists.thresholds[i] = i % lists.padded < queries ? -__builtin_inff() : __builtin_nanf("");
  }
  for (int64_t i = 0; i < lists.padded; ++i) lists.shared[i] = -__builtin_inff();
  return lists;
}

// The lists of one thread.
struct OwnLists {
  const BestLists& lists;
  int64_t worker;
  int32_t* sizes;
  float* thresholds;  // [padded]

  SHORTLIST_INLINE explicit OwnLists(const BestLists& all)
      : lists(all),
        worker(this_worker()),
        sizes(all.sizes + worker * all.padded),
        thresholds(all.thresholds + worker * all.padded) {}

  // Takes over the threshold of the other threads.
  SHORTLIST_INLINE void refresh(int64_t query) {
    float seen;
    __atomic_load(lists.shared + query, &seen, __ATOMIC_RELAXED);
    thresholds[query] = thresholds[query] < seen ? seen : thresholds[query];
  }

  void prune(int64_t query) {
    uint64_t* const own = lists.keys_of(query, worker);
    select_best(own, sizes[query], lists.top);
    sizes[query] = static_cast<int32_t>(lists.top);
    const float last = score_of(own[lists.top - 1]);
    thresholds[query] = thresholds[query] < last ? last : thresholds[query];
    raise_shared(lists.shared + query, last);
  }

  SHORTLIST_INLINE void add(int64_t query, float score, int32_t item) {
    if (lists.excluded.sets && lists.excluded.of(query).has(item)) return;
    lists.keys_of(query, worker)[sizes[query]] = key_of(score, item);
    if (++sizes[query] == lists.capacity) prune(query);
  }
};

// Brings the keys of all workers for a query together, at the start of its keys. Returns their number.
SHORTLIST_INLINE int64_t gather_keys(const BestLists& lists, int64_t query) {
  uint64_t* const keys = lists.keys_of(query, 0);
  int64_t count = lists.sizes[query];
  for (int64_t worker = 1; worker < lists.workers; ++worker) {
    const uint64_t* const own = lists.keys_of(query, worker);
    const int64_t size = lists.sizes[worker * lists.padded + query];
    for (int64_t i = 0; i < size; ++i) keys[count++] = own[i];
  }
  return count;
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
