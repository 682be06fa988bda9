// Exact search: the items with the highest scores w·u + b for each query, sorted by falling score, and equal scores by
// rising id. Excluded items and NaN scores are left out; with lists of allowed items only these are candidates.
//
// There are three ways to the same result, with the same bits as the op top_n:
// - All rows are scanned in float32, in parallel chunks (row_scan.h). With one query, reading the rows takes the time;
//   with many, the products do.
// - With lists of allowed items only their rows are read. So 50 of a million items cost 50 dot products.
// - With few queries and codes in 8 bits, a first pass over the codes finds the items that may be among the best, and
//   only their rows are read (first_pass.h). If that leaves too many items, such as millions of equal ones, all rows
//   are scanned.
//
// Excluded items are looked up only when their score reaches the threshold, which is rare (item_sets.h).

#include "native/core/search_kernels.h"
#include "native/ops/first_pass.h"
#include "native/ops/row_scan.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kWantedChunks = 64;
const int64_t kLeastFlops = 400000;  // of a chunk: about 3 µs
const int64_t kListRows = 4096;      // rows of a list in one chunk
// Queries that are scanned at once: a panel of them stays in the L2 cache.
const int64_t kMostScanned = 256;
// Queries of one first pass. More of them are served by several passes, but without VNNI they are about as fast in
// float32, where the products take all the time.
#if defined(__AVX512VNNI__)
const int64_t kMostFirstPass = 64;
const bool kPassesForMany = true;
#else
const int64_t kMostFirstPass = 16;
const bool kPassesForMany = false;
#endif
const int64_t kCodeGroupsPerChunk = 256;
const int64_t kEncodedGroupsPerChunk = 64;

SHORTLIST_INLINE int64_t first_pass_capacity(int64_t top) { return 4 * top + 1024; }

// Packs queries [count, width] into panels [width, kTileColumns].
const float* pack_queries(const Call& call, const float* queries, int64_t count, int64_t width) {
  const int64_t padded = round_up(count, kTileColumns);
  float* const panels = float_scratch(call, padded * width);
  parallel(call, padded / kTileColumns, [&](int64_t panel) {
    float* const to = panels + panel * kTileColumns * width;
    for (int64_t c = 0; c < kTileColumns; ++c) {
      const int64_t query = panel * kTileColumns + c;
      for (int64_t p = 0; p < width; ++p) to[p * kTileColumns + c] = query < count ? queries[query * width + p] : 0;
    }
  });
  return panels;
}

RowScan scan_of(const Call& call, const ItemVectors& vectors, const float* queries, int64_t at_once,
                const BestLists& lists, bool listed) {
  const int64_t bytes = 4 * (vectors.width + 1);
  const int64_t rows = (kBytesPerBlock / bytes + kTileRows - 1) / kTileRows * kTileRows;
  const bool few = at_once <= kFewQueries;
  RowScan scan = {vectors, queries, nullptr, lists, listed ? rows : few ? INT64_MAX / 2 : rows, nullptr};
  if (!few) scan.panels = pack_queries(call, queries, at_once, vectors.width);
  if (listed) scan.copies = float_scratch(call, lists.workers * rows * (vectors.width + 1));
  return scan;
}

// Writes the results of all queries.
void write_results(const Call& call, const BestLists& lists, const SearchRequest& request) {
  parallel(call, lists.queries, [&](int64_t query) {
    const int64_t place = query * request.top;
    write_best(lists.keys_of(query, 0), gather_keys(lists, query), lists.top, request.top, request.items + place,
               request.scores + place);
  });
}

// Removes items before `first` from a sorted list.
SHORTLIST_INLINE void skip_below(ItemSet* set, int64_t first) {
  for (; set->count > 0 && set->sorted[0] < first; --set->count) ++set->sorted;
}

// Scans all rows in place, or those of one list, for all queries.
void scan_together(const Call& call, const RowScan& scan, const ItemSet* list) {
  const int64_t begin = list ? 0 : scan.vectors.first, end = list ? list->count : scan.vectors.items;
  const int64_t flops = 2 * (scan.vectors.width + 1) * scan.lists.queries;
  const int64_t least = kLeastFlops / flops + 1, wanted = (end - begin + kWantedChunks - 1) / kWantedChunks;
  const int64_t rows = round_up(wanted > least ? wanted : least, kTileRows > kLanes ? kTileRows : kLanes);
  parallel_blocks(call, end - begin, rows, [&](int64_t from, int64_t to) {
    scan_rows(scan, list ? list->sorted : nullptr, begin + from, begin + to, 0, scan.lists.queries);
  });
}

// Scans a list of its own for each query.
void scan_apart(const Call& call, const RowScan& scan, const ItemSet* sets) {
  const int64_t queries = scan.lists.queries;
  int64_t* const chunks = static_cast<int64_t*>(scratch(call, 2 * (queries + 1)));  // before each query
  chunks[0] = 0;
  for (int64_t q = 0; q < queries; ++q) chunks[q + 1] = chunks[q] + (sets[q].count + kListRows - 1) / kListRows;
  parallel(call, chunks[queries], [&](int64_t chunk) {
    int64_t low = 0, high = queries - 1;  // the query is the last one that begins at or before the chunk
    while (low < high) {
      const int64_t middle = (low + high + 1) / 2;
      if (chunks[middle] <= chunk) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    const int64_t begin = (chunk - chunks[low]) * kListRows, left = sets[low].count - begin;
    scan_rows(scan, sets[low].sorted, begin, begin + (left < kListRows ? left : kListRows), low, 1);
  });
}

void search_rows(const Call& call, const ItemVectors& vectors, const SearchRequest& request, int64_t top) {
  const ItemSets allowed = sets_of(call, request.allowed, request.count, vectors.items, true);
  for (int64_t list = 0; allowed.sets && list < (allowed.shared ? 1 : request.count); ++list) {
    skip_below(&allowed.sets[list], vectors.first);
  }
  BestLists lists = lists_of(call, request.count, top, list_capacity(top));
  lists.excluded = sets_of(call, request.excluded, request.count, vectors.items, false);
  const bool apart = allowed.sets && !allowed.shared;
  const RowScan scan =
      scan_of(call, vectors, request.queries, apart ? 1 : request.count, lists, allowed.sets != nullptr);
  if (apart) {
    scan_apart(call, scan, allowed.sets);
  } else {
    scan_together(call, scan, allowed.sets);
  }
  write_results(call, lists, request);
}

// Scores the items that the first pass has left, in float32.
void score_left(const Call& call, const FirstPass& pass, const SearchRequest& request) {
  const BestLists& lists = pass.lists;
  const int64_t room = lists.workers * lists.capacity;
  ItemSet* const left = static_cast<ItemSet*>(scratch(call, elements_for(sizeof(ItemSet), lists.queries)));
  int32_t* const items = int_scratch(call, lists.queries * room);
  parallel(call, lists.queries, [&](int64_t query) {
    uint64_t* const keys = lists.keys_of(query, 0);
    float threshold;
    const int64_t count =
        pass.failed[query] ? 0 : keep_possible(pass, query, keys, gather_keys(lists, query), &threshold);
    int32_t* const own = items + query * room;
    for (int64_t i = 0; i < count; ++i) own[i] = item_of(keys[i]);
    left[query] = ItemSet();
    left[query].sorted = own;
    left[query].count = count;
  });
  const BestLists best = lists_of(call, lists.queries, lists.top, list_capacity(lists.top));
  scan_apart(call, scan_of(call, pass.vectors, request.queries, 1, best, true), left);
  write_results(call, best, request);
}

// Returns whether a first pass is possible. If not, no item passes it.
bool start_query(const Call& call, const FirstPass& pass, const float* query, CodedQuery* coded) {
  const int64_t width = pass.vectors.width, index = coded - pass.queries;
  coded->pairs = int_scratch(call, pairs_of(width));
  if (encode_query(query, width, pass.codes, coded)) return true;
  *coded = {coded->pairs, 0, 0, 0};
  for (int64_t p = 0; p < pairs_of(width); ++p) coded->pairs[p] = 0;
  for (int64_t w = 0; w < pass.lists.workers; ++w) {
    pass.lists.thresholds[w * pass.lists.padded + index] = __builtin_inff();
  }
  return false;
}

// Searches by a first pass, and in float32 for queries for which it fails.
void search_codes(const Call& call, const ItemVectors& vectors, const ItemCodes& codes, const SearchRequest& request,
                  int64_t top) {
  BestLists lists = lists_of(call, request.count, top, first_pass_capacity(top));
  lists.excluded = sets_of(call, request.excluded, request.count, vectors.items, false);
  CodedQuery queries[kMostFirstPass];
  int32_t failed[kMostFirstPass];
  const FirstPass pass = {vectors, codes, queries, lists, failed, int_scratch(call, lists.workers * lists.padded)};
  for (int64_t i = 0; i < lists.workers * lists.padded; ++i) pass.due[i] = due_after(lists, lists.top);
  for (int64_t q = 0; q < request.count; ++q) {
    failed[q] = start_query(call, pass, request.queries + q * vectors.width, queries + q) ? 0 : 1;
  }
  parallel_blocks(call, code_groups(vectors.items - vectors.first), kCodeGroupsPerChunk,
                  [&](int64_t begin, int64_t end) { scan_codes(pass, begin, end); });
  score_left(call, pass, request);
  for (int64_t q = 0, end; q < request.count; q = end + 1) {
    for (end = q; end < request.count && failed[end];) ++end;
    if (end > q) search_rows(call, vectors, queries_of(request, vectors.width, q, end - q), top);
  }
}

void search(const Call& call, const ItemVectors& vectors, const ItemCodes* codes, const SearchRequest& request) {
  const int64_t candidates = vectors.items > vectors.first ? vectors.items - vectors.first : 0;
  const int64_t top = request.top < candidates ? request.top : candidates;
  if (top == 0) {
    for (int64_t i = 0; i < request.count * request.top; ++i) {
      request.items[i] = -1;
      request.scores[i] = -__builtin_inff();
    }
  } else if (codes && request.count > 0 && request.count <= kMostFirstPass && !request.allowed.given) {
    search_codes(call, vectors, *codes, request, top);
  } else if (request.count > 0) {
    search_rows(call, vectors, request, top);
  }
}

int64_t queries_at_once(const ItemCodes* codes, const SearchRequest& request) {
  const bool by_codes = codes && !request.allowed.given && (kPassesForMany || request.count <= kMostFirstPass);
  return by_codes ? kMostFirstPass : kMostScanned;
}

int64_t code_count(int64_t items, int64_t width) { return code_groups(items) * group_bytes(width); }

int64_t scale_count(int64_t items) { return code_groups(items) * kLanes; }

ItemCodes encode(const Call& call, const ItemVectors& vectors, int8_t* codes, float* scales) {
  const int64_t items = vectors.items - vectors.first, group_codes = group_bytes(vectors.width);
  parallel_blocks(call, code_groups(items), kEncodedGroupsPerChunk, [&](int64_t begin, int64_t end) {
    memset(codes + begin * group_codes, 0, static_cast<size_t>((end - begin) * group_codes));
    for (int64_t item = begin * kLanes; item < end * kLanes; ++item) {
      int8_t* const own = codes + item / kLanes * group_codes + item % kLanes * 2;
      const float* const row = vectors.weight + (vectors.first + item) * vectors.stride;
      scales[item] = item < items ? encode_row(row, vectors.width, own) : 0;
    }
  });
  ItemCodes encoded = {codes, scales, 0, 0};
  for (int64_t item = 0; item < items; ++item) {
    encoded.largest_scale = scales[item] > encoded.largest_scale ? scales[item] : encoded.largest_scale;
    const float bias = vectors.bias ? __builtin_fabsf(vectors.bias[vectors.first + item]) : 0;
    if (bias <= 3.40282347e38f && bias > encoded.largest_bias) encoded.largest_bias = bias;
  }
  return encoded;
}

}  // namespace

extern const SearchKernels search_kernels = {code_count, scale_count, encode, queries_at_once, search};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
