#pragma once

#include "native/ops/best_lists.h"
#include "native/ops/tile.h"
#include "native/simd/compare.h"
#include "native/simd/int8.h"

// The first pass of a search, over vectors in 8 bits: a quarter of the memory traffic. It bounds the score of every
// item from below and above (docs/math.md, "Exact search by a first pass in 8 bits") and keeps the items whose upper
// bound reaches the N-th largest lower bound. All others have a lower score than N items. What is kept is scored in
// float32.
//
// Codes are stored in groups of kLanes items: for each pair of columns, the pairs of all items of the group. The query
// is rounded to 16 bits, and products are summed exactly, in 32 bits.

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

// The smallest scale, far from the subnormal numbers, and a bound of what underflow takes from a score.
const float kLeastScale = 0x1p-100f;
const float kUnderflow = 0x1p-120f;
const double kOverflow = 0x1p126;
const int32_t kLargestCode = 127;
const int32_t kLargestQueryCode = 32767;
const double kLargestSum = 2147483647;
// Bounds are multiplied by 1 + kSlack. Rounding in the computation of a bound is below kSlack / 2 of its largest term.
const double kSlack = 0x1p-17;
const int64_t kWidest = int64_t{1} << 20;  // the largest width for which the bounds are proved
// The sums of so many groups and queries, and the codes of the groups, fit the registers.
const int kGroupsAtOnce = 4;
#if defined(__AVX512F__) || defined(__aarch64__)
const int kQueriesAtOnce = 4;
#else
const int kQueriesAtOnce = 2;
#endif
// Bytes of the codes that are multiplied by all queries while they are in the L1 cache, of which another program on the
// other hyperthread may have half.
const int64_t kCodeBytesPerBlock = int64_t{1} << 14;

SHORTLIST_INLINE int64_t pairs_of(int64_t width) { return (width + 1) / 2; }
// Bytes of the codes of a group.
SHORTLIST_INLINE int64_t group_bytes(int64_t width) { return pairs_of(width) * 2 * kLanes; }
SHORTLIST_INLINE int64_t code_groups(int64_t items) { return round_up((items + kLanes - 1) / kLanes, kGroupsAtOnce); }

// Computes the scale and the codes of one item. Code c of pair p is at codes[p · 2 · kLanes + c].
SHORTLIST_INLINE float encode_row(const float* row, int64_t width, int8_t* codes) {
  float largest = 0;
  bool finite = true;
  for (int64_t c = 0; c < width; ++c) {
    const float size = row[c] < 0 ? -row[c] : row[c];
    finite = finite && size <= 3.40282347e38f;
    largest = size > largest ? size : largest;
  }
  const float wanted = largest / kLargestCode, scale = wanted > kLeastScale ? wanted : kLeastScale;
  for (int64_t c = 0; c < width; ++c) {
    const double code = finite ? static_cast<double>(row[c]) / static_cast<double>(scale) : 0;
    codes[c / 2 * 2 * kLanes + c % 2] = static_cast<int8_t>(__builtin_lrint(code));
  }
  return finite ? scale : __builtin_nanf("");
}

// A query in 16 bits, and the numbers that bound its scores: with x = Σ code · query code, the score is within
// error · scale + bias_error · |bias| + kUnderflow of scale · (unit · x) + bias.
struct CodedQuery {
  int32_t* pairs;  // [pairs_of(width)]: two 16-bit numbers in each
  float unit;
  float error;
  float bias_error;  // the same for all queries
};

// Encodes a query. Returns false if the bounds do not hold for it, because a score might overflow.
SHORTLIST_INLINE bool encode_query(const float* query, int64_t width, const ItemCodes& codes, CodedQuery* coded) {
  double sum = 0, largest = 0;
  for (int64_t c = 0; c < width; ++c) {
    const double size = __builtin_fabs(static_cast<double>(query[c]));
    sum += size;
    largest = size > largest ? size : largest;
  }
  const double columns = static_cast<double>(2 * pairs_of(width));
  const double most = kLargestSum / (kLargestCode * (columns > 0 ? columns : 1));
  const double limit = most < kLargestQueryCode ? __builtin_floor(most) : kLargestQueryCode;
  const double scale = static_cast<double>(codes.largest_scale);
  const double reach = 2 * 128 * (scale > 1 ? scale : 1) * sum + static_cast<double>(codes.largest_bias);
  if (!(reach < kOverflow) || width > kWidest) return false;
  const float wanted = static_cast<float>(largest / limit);
  coded->unit = wanted > kLeastScale ? wanted : kLeastScale;
  const double unit = static_cast<double>(coded->unit), rounding = (static_cast<double>(width) + 8) * 0x1p-23 + kSlack;
  const double error = 0.5 * sum + 64 * columns * unit + 128 * rounding * sum;
  coded->error = static_cast<float>(error * (1 + kSlack));
  coded->bias_error = static_cast<float>(rounding);
  for (int64_t p = 0; p < pairs_of(width); ++p) {
    const auto code = [&](int64_t c) __attribute__((always_inline)) {
      const double value = c < width ? static_cast<double>(query[c]) / unit : 0;
      const double rounded = __builtin_rint(value);
      return static_cast<uint32_t>(static_cast<int32_t>(rounded > limit ? limit : rounded < -limit ? -limit : rounded));
    };
    coded->pairs[p] = static_cast<int32_t>(code(2 * p + 1) << 16 | (code(2 * p) & 0xffffu));
  }
  return true;
}

struct FirstPass {
  const ItemVectors& vectors;
  const ItemCodes& codes;
  const CodedQuery* queries;
  const BestLists& lists;  // sorted by lower bounds
  int32_t* failed;         // [queries]: whether a list had no room; atomic
  int32_t* due;            // [workers, padded]: the size at which a list is reduced
};

// When a list of this size is reduced next. Each reduction raises the threshold, so that fewer items are added. Waiting
// until the list is full, with room for many items that are possible besides the best, would add several times as many.
SHORTLIST_INLINE int32_t due_after(const BestLists& lists, int64_t size) {
  const int64_t due = size + list_capacity(lists.top) - lists.top;
  return static_cast<int32_t>(due < lists.capacity ? due : lists.capacity);
}

// Half of the distance between the bounds of an item.
SHORTLIST_INLINE float margin_of(const FirstPass& pass, int64_t query, int64_t item) {
  const CodedQuery& coded = pass.queries[query];
  const float bias = pass.vectors.bias ? pass.vectors.bias[item] : 0.0f;
  return pass.codes.scales[item - pass.vectors.first] * coded.error +
         (__builtin_fabsf(bias) * coded.bias_error + kUnderflow);
}

// Keeps, of `count` keys, those whose upper bound reaches the N-th largest lower bound. Returns their number. The upper
// bound follows from the lower one; it is NaN, and the item is kept, if a bound is.
SHORTLIST_INLINE int64_t keep_possible(const FirstPass& pass, int64_t query, uint64_t* keys, int64_t count,
                                       float* threshold) {
  const int64_t top = pass.lists.top;
  if (count <= top) return count;
  select_best(keys, count, top);
  *threshold = score_of(keys[top - 1]);
  int64_t kept = top;
  for (int64_t i = top; i < count; ++i) {
    const float upper = score_of(keys[i]) + 2 * margin_of(pass, query, item_of(keys[i]));
    keys[kept] = keys[i];
    kept += upper < *threshold ? 0 : 1;
  }
  return kept;
}

// Adds an item to a thread's list, and reduces the list if it is due.
SHORTLIST_INLINE void add_possible(const FirstPass& pass, int64_t query, float lower, int32_t item, OwnLists& own) {
  const BestLists& lists = pass.lists;
  if (lists.excluded.sets && lists.excluded.of(query).has(item)) return;
  uint64_t* const keys = lists.keys_of(query, own.worker);
  keys[own.sizes[query]] = key_of(lower == lower ? lower : -__builtin_inff(), item);
  int32_t* const due = pass.due + own.worker * lists.padded + query;
  if (++own.sizes[query] < *due) return;
  float threshold = -__builtin_inff();
  own.sizes[query] = static_cast<int32_t>(keep_possible(pass, query, keys, own.sizes[query], &threshold));
  *due = due_after(lists, own.sizes[query]);
  own.thresholds[query] = own.thresholds[query] < threshold ? threshold : own.thresholds[query];
  raise_shared(lists.shared + query, threshold);
  if (own.sizes[query] <= lists.capacity / 4 * 3) return;
  __atomic_store_n(pass.failed + query, 1, __ATOMIC_RELAXED);
  own.sizes[query] = 0;
  own.thresholds[query] = __builtin_inff();
}

SHORTLIST_INLINE void prefetch_codes(const int8_t* codes, int64_t bytes) {
  for (int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(codes + line, 0, 2);
}

// The sums of products of kGroupsAtOnce groups, whose codes begin at `codes`, for kQueries queries. Prefetches as many
// codes from `ahead` on, unless it is nullptr: for several queries a few with each pair, so that they do not wait for
// memory at once.
template <int kQueries>
SHORTLIST_INLINE void sum_codes(const int8_t* codes, const int8_t* ahead, const CodedQuery* queries, int64_t pairs,
                                vi (*sums)[kGroupsAtOnce]) {
  const int bytes = kGroupsAtOnce * 2 * kLanes;  // of a pair
  if (kQueries == 1 && ahead) prefetch_codes(ahead, pairs * bytes);
  vi sum[kQueries][kGroupsAtOnce];
  const int32_t* query[kQueries];
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) query[q] = queries[q].pairs;
  for_each_vector<kQueries, kGroupsAtOnce>([&](int q, int g) __attribute__((always_inline)) { sum[q][g] = vi{}; });
  for (int64_t p = 0; p < pairs; ++p) {
    if (kQueries > 1 && ahead) prefetch_codes(ahead + p * bytes, bytes);
    vi code[kGroupsAtOnce];
#pragma GCC unroll 4
    for (int g = 0; g < kGroupsAtOnce; ++g) code[g] = load_int8_pairs(codes + (g * pairs + p) * 2 * kLanes);
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) {
      const vi factor = splat(query[q][p]);
#pragma GCC unroll 4
      for (int g = 0; g < kGroupsAtOnce; ++g) sum[q][g] = add_pair_products(sum[q][g], code[g], factor);
    }
  }
  for_each_vector<kQueries, kGroupsAtOnce>([&](int q, int g)
                                               __attribute__((always_inline)) { sums[q][g] = sum[q][g]; });
}

// The same of one group, whose codes are read in the order of memory: the fastest way with AVX-512 where they are not
// in a cache. Each query has several sums, so that multiply-adds need not wait for each other.
template <int kQueries>
SHORTLIST_INLINE void sum_group(const int8_t* codes, const CodedQuery* queries, int64_t pairs, vi* sums) {
  constexpr int kParts = kQueries > 2 ? 2 : 4;
  const int64_t bytes = 2 * kLanes;
  vi sum[kQueries][kParts];
  const int32_t* query[kQueries];
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) query[q] = queries[q].pairs;
  for_each_vector<kQueries, kParts>([&](int q, int i) __attribute__((always_inline)) { sum[q][i] = vi{}; });
  int64_t p = 0;
  for (; p + kParts <= pairs; p += kParts, codes += kParts * bytes) {
#pragma GCC unroll 4
    for (int i = 0; i < kParts; ++i) {
      const vi code = load_int8_pairs(codes + i * bytes);
#pragma GCC unroll 4
      for (int q = 0; q < kQueries; ++q) sum[q][i] = add_pair_products(sum[q][i], code, splat(query[q][p + i]));
    }
  }
  for (; p < pairs; ++p, codes += bytes) {
    const vi code = load_int8_pairs(codes);
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) sum[q][0] = add_pair_products(sum[q][0], code, splat(query[q][p]));
  }
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 4
    for (int i = 1; i < kParts; ++i) sum[q][0] += sum[q][i];
    sums[q * kGroupsAtOnce] = sum[q][0];
  }
}

// Adds the items of a group whose upper bounds for a query are not below the threshold, with their lower bounds.
__attribute__((noinline)) void add_group(const FirstPass& pass, int64_t query, int64_t group, vi sums, OwnLists& own) {
  const int64_t place = group * kLanes, item = pass.vectors.first + place, left = pass.vectors.items - item;
  if (left <= 0) return;
  const CodedQuery& coded = pass.queries[query];
  const vf scale = load(pass.codes.scales + place);
  const vf bias = pass.vectors.bias ? load_upto(pass.vectors.bias + item, left) : vf{};
  const vf estimate = scale * (to_float(sums) * coded.unit) + bias;
  const vf margin = scale * coded.error + (magnitude(bias) * coded.bias_error + kUnderflow);
  uint32_t possible = lanes_not_below(estimate + margin, splat(own.thresholds[query]));
  if (left < kLanes) possible &= (1u << left) - 1;
  float lower[kLanes];
  store(lower, estimate - margin);
  for (; possible != 0; possible &= possible - 1) {
    const int lane = __builtin_ctz(possible);
    add_possible(pass, query, lower[lane], static_cast<int32_t>(item + lane), own);
  }
}

// Bounds the scores of kGroupsAtOnce groups for kQueries queries from above, and adds the items that may be among the
// best. Lanes behind the last item may seem to be.
template <int kQueries>
SHORTLIST_INLINE void bound_groups(const FirstPass& pass, int64_t first_query, int64_t group,
                                   const vi (*sums)[kGroupsAtOnce], OwnLists& own) {
  const CodedQuery* const queries = pass.queries + first_query;
  vf scale[kGroupsAtOnce], rest[kGroupsAtOnce];  // what is multiplied by, and what is added to unit · sum + error
#pragma GCC unroll 4
  for (int g = 0; g < kGroupsAtOnce; ++g) {
    const int64_t place = (group + g) * kLanes, item = pass.vectors.first + place, left = pass.vectors.items - item;
    scale[g] = load(pass.codes.scales + place);
    const vf bias = pass.vectors.bias ? load_upto(pass.vectors.bias + item, left > 0 ? left : 0) : vf{};
    rest[g] = bias + (magnitude(bias) * queries[0].bias_error + kUnderflow);
  }
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) {
    const vf unit = splat(queries[q].unit), error = splat(queries[q].error);
    const vf threshold = splat(own.thresholds[first_query + q]);
    uint32_t possible[kGroupsAtOnce];
#pragma GCC unroll 4
    for (int g = 0; g < kGroupsAtOnce; ++g) {
      const vf upper = madd(scale[g], madd(to_float(sums[q][g]), unit, error), rest[g]);
      possible[g] = lanes_not_below(upper, threshold);
    }
    if (__builtin_expect((possible[0] | possible[1] | possible[2] | possible[3]) == 0, 1)) continue;
    for (int g = 0; g < kGroupsAtOnce; ++g) {
      if (possible[g] != 0) add_group(pass, first_query + q, group + g, sums[q][g], own);
    }
  }
}

// Where the codes of a block come from: from memory, for all queries of the search or for the first ones, or from the
// cache.
enum class Codes { stream, prefetch, cache };

// Scans groups [begin, end) for kQueries queries.
template <int kQueries, Codes kCodes>
__attribute__((noinline)) void scan_block(const FirstPass& pass, int64_t first_query, int64_t begin, int64_t end,
                                          OwnLists& own) {
  const int64_t pairs = pairs_of(pass.vectors.width), bytes = group_bytes(pass.vectors.width);
  const CodedQuery* const queries = pass.queries + first_query;
  for (int64_t group = begin; group < end; group += kGroupsAtOnce) {
    const int8_t* const codes = pass.codes.codes + group * bytes;
    vi sums[kQueries][kGroupsAtOnce];
    if (kCodes == Codes::stream && kLanes == 16) {
#pragma GCC unroll 4
      for (int g = 0; g < kGroupsAtOnce; ++g) sum_group<kQueries>(codes + g * bytes, queries, pairs, sums[0] + g);
    } else {
      const int8_t* const ahead = kCodes == Codes::cache ? nullptr : codes + (end - begin) * bytes;
      sum_codes<kQueries>(codes, ahead, queries, pairs, sums);
    }
    bound_groups<kQueries>(pass, first_query, group, sums, own);
  }
}

// Scans groups [begin, end), multiples of kGroupsAtOnce, for all queries.
void scan_codes(const FirstPass& pass, int64_t begin, int64_t end) {
  typedef void (*ScanBlock)(const FirstPass&, int64_t, int64_t, int64_t, OwnLists&);
  // Indexed by the number of queries, minus 1. Places behind kQueriesAtOnce are never used.
  constexpr int kThree = kQueriesAtOnce < 3 ? kQueriesAtOnce : 3, kFour = kQueriesAtOnce < 4 ? kQueriesAtOnce : 4;
  static const ScanBlock scan_stream[] = {scan_block<1, Codes::stream>, scan_block<2, Codes::stream>,
                                          scan_block<kThree, Codes::stream>, scan_block<kFour, Codes::stream>};
  static const ScanBlock scan_cache[] = {scan_block<1, Codes::cache>, scan_block<2, Codes::cache>,
                                         scan_block<kThree, Codes::cache>, scan_block<kFour, Codes::cache>};
  OwnLists own(pass.lists);
  const int64_t queries = pass.lists.queries;
  for (int64_t q = 0; q < queries; ++q) {
    if (own.thresholds[q] < __builtin_inff()) own.refresh(q);
  }
  const int64_t fitting = kCodeBytesPerBlock / (group_bytes(pass.vectors.width) + 1);
  const int64_t groups = round_up(fitting > 0 ? fitting : 1, kGroupsAtOnce);
  for (int64_t block = begin; block < end; block += groups) {
    const int64_t stop = end - block < groups ? end : block + groups;
    if (queries <= kQueriesAtOnce) {
      scan_stream[queries - 1](pass, 0, block, stop, own);
      continue;
    }
    scan_block<kQueriesAtOnce, Codes::prefetch>(pass, 0, block, stop, own);
    for (int64_t q = kQueriesAtOnce; q < queries; q += kQueriesAtOnce)
      scan_cache[(queries - q < kQueriesAtOnce ? queries - q : kQueriesAtOnce) - 1](pass, q, block, stop, own);
  }
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
