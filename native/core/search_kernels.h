#pragma once

#include <cstdint>

#include "native/core/tensor.h"

// The interface between ItemSearch (native/retrieve) and the kernels of exact search (native/ops/search.cc), which are
// compiled once for each instruction set.

namespace shortlist {

struct Call;

// The vectors among which is searched. The score of an item for a query u is w·u + b.
struct ItemVectors {
  const float* weight;  // [items, width], rows `stride` apart
  const float* bias;    // [items] or nullptr
  int64_t items;
  int64_t width;
  int64_t stride;
  int64_t first;  // items before it are no candidates
};

// The same vectors in 8 bits: w ≈ scale · code (docs/math.md, "Exact search by a first pass in 8 bits"). The order of
// the codes is that of the instruction set that computed them.
struct ItemCodes {
  const int8_t* codes;
  const float* scales;  // [items], padded; NaN for a row that is not finite
  float largest_scale;  // without NaN
  float largest_bias;   // largest |b| that is finite
};

// Lists of items: list q for query q, or one list for all queries. Items may repeat and be in any order.
struct ItemLists {
  const int32_t* items = nullptr;
  const int32_t* offsets = nullptr;  // [queries + 1]: list q is items[offsets[q] … offsets[q + 1]); nullptr: one list
  int64_t count = 0;                 // of all items
  bool given = false;                // false: there are no lists
};

struct SearchRequest {
  const float* queries;  // [count, width]
  int64_t count;
  int64_t top;
  ItemLists excluded;  // items that are left out
  ItemLists allowed;   // if given, only these items are candidates
  int32_t* items;      // [count, top], written: the best items, best first; −1 after the last one
  float* scores;       // [count, top], written; −∞ where there is no item
};

// The part of a request for queries [first, first + count). The vectors have this width.
SHORTLIST_INLINE SearchRequest queries_of(const SearchRequest& request, int64_t width, int64_t first, int64_t count) {
  SearchRequest part = request;
  part.queries += first * width;
  part.count = count;
  if (part.excluded.offsets != nullptr) part.excluded.offsets += first;
  if (part.allowed.offsets != nullptr) part.allowed.offsets += first;
  part.items += first * request.top;
  part.scores += first * request.top;
  return part;
}

// The keys for which the list of one query on one thread has room.
SHORTLIST_INLINE int64_t list_capacity(int64_t top) { return 2 * top + 64; }

struct SearchKernels {
  // The number of codes of `items` vectors.
  int64_t (*code_count)(int64_t items, int64_t width);
  // The number of scales of `items` vectors.
  int64_t (*scale_count)(int64_t items);
  // Computes codes and scales of the items from vectors.first on. Returns what belongs into ItemCodes.
  ItemCodes (*encode)(const Call& call, const ItemVectors& vectors, int8_t* codes, float* scales);
  // Into how large parts of its queries a request is best divided, one call of `search` for each.
  int64_t (*queries_at_once)(const ItemCodes* codes, const SearchRequest& request);
  // Finds the `top` items with the highest scores for each query. Equal scores are ordered by rising id, and items with
  // a score of NaN are left out, as in the op top_n; the scores have the same bits as there. `codes` may be nullptr.
  // All ids of the request must exist.
  void (*search)(const Call& call, const ItemVectors& vectors, const ItemCodes* codes, const SearchRequest& request);
};

}  // namespace shortlist
