#pragma once

#include "native/core/kernel.h"
#include "native/core/search_kernels.h"
#include "native/ops/best_keys.h"

// Lists of items, made ready for look-ups and for reading in order. A list that is sorted already is used in place. A
// short one is sorted; a long one becomes a set of bits, which takes less time.

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

// A list becomes a set of bits if it has at least one item for so many of the catalogue, and all sets of bits together
// have at most so many words. Above the second share they are small beside the lists.
const int64_t kItemsPerLongList = 1024;
const int64_t kItemsPerDenseList = 64;
const int64_t kMostWords = int64_t{1} << 23;  // 64 MiB

struct ItemSet {
  const int32_t* sorted = nullptr;  // rising, perhaps with repetitions; nullptr if `bits` is used
  int64_t count = 0;
  const uint64_t* bits = nullptr;

  SHORTLIST_INLINE bool has(int32_t item) const {
    if (bits) return bits[item >> 6] >> (item & 63) & 1;
    const int32_t* from = sorted;
    int64_t left = count;
    while (left > 1) {  // without branches that could be mispredicted
      const int64_t half = left / 2;
      from += from[half - 1] < item ? half : 0;
      left -= half;
    }
    return left == 1 && *from == item;
  }
};

// The sets of all queries: set q, or set 0 for all of them.
struct ItemSets {
  ItemSet* sets = nullptr;  // nullptr: there are none
  bool shared = false;

  SHORTLIST_INLINE const ItemSet& of(int64_t query) const { return sets[shared ? 0 : query]; }
};

// Removes repetitions from a sorted list. Returns the number of items that are left.
SHORTLIST_INLINE int64_t distinct_of(int32_t* items, int64_t count) {
  int64_t kept = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (kept == 0 || items[i] != items[kept - 1]) items[kept++] = items[i];
  }
  return kept;
}

// The number of 4-byte elements of scratch memory for `count` objects. (Scratch memory is 64-byte aligned.)
SHORTLIST_INLINE int64_t elements_for(size_t bytes, int64_t count) { return static_cast<int64_t>(bytes) / 4 * count; }

enum class ListOrder : int32_t { strict, rising, none };

SHORTLIST_INLINE ListOrder order_of(const int32_t* items, int64_t count) {
  int32_t equal = 0, falling = 0;
  for (int64_t i = 1; i < count; ++i) {
    equal |= items[i] == items[i - 1];
    falling |= items[i] < items[i - 1];
  }
  return falling ? ListOrder::none : equal ? ListOrder::rising : ListOrder::strict;
}

SHORTLIST_INLINE int64_t words_of(int64_t items) { return (items + 63) / 64; }

SHORTLIST_INLINE void set_bits(const int32_t* items, int64_t count, uint64_t* bits) {
  for (int64_t i = 0; i < count; ++i) bits[items[i] >> 6] |= uint64_t{1} << (items[i] & 63);
}

// The distinct items of a set of bits, in order. Returns their number.
SHORTLIST_INLINE int64_t items_of(const uint64_t* bits, int64_t words, int32_t* items) {
  int64_t count = 0;
  for (int64_t word = 0; word < words; ++word) {
    for (uint64_t left = bits[word]; left != 0; left &= left - 1) {
      items[count++] = static_cast<int32_t>(word * 64 + __builtin_ctzll(left));
    }
  }
  return count;
}

// Where a list is and what is done with it.
struct ListPlan {
  const int32_t* items;
  int64_t count;
  int64_t copy = -1;  // place of its copy, or −1
  int64_t bits = -1;  // place of its set of bits, or −1
  ListOrder order;
};

SHORTLIST_INLINE ItemSet set_of(const ListPlan& plan, bool distinct, int64_t words, int32_t* copies, uint64_t* bits) {
  ItemSet set;
  set.sorted = plan.items;
  set.count = plan.count;
  if (plan.bits >= 0) {
    uint64_t* const own = bits + plan.bits;
    memset(own, 0, sizeof(uint64_t) * static_cast<size_t>(words));
    set_bits(plan.items, plan.count, own);
    set.bits = distinct ? nullptr : own;
    if (!distinct) return set;
  }
  if (plan.copy < 0) return set;
  int32_t* const own = copies + plan.copy;
  set.sorted = own;
  if (plan.bits >= 0) {
    set.count = items_of(bits + plan.bits, words, own);
    return set;
  }
  for (int64_t i = 0; i < plan.count; ++i) own[i] = plan.items[i];
  if (plan.order == ListOrder::none) sort_keys(own, plan.count);
  if (distinct) set.count = distinct_of(own, plan.count);
  return set;
}

// Prepares the lists of all queries. With `distinct`, every set becomes a sorted list without repetitions.
SHORTLIST_INLINE ItemSets sets_of(const Call& call, const ItemLists& lists, int64_t queries, int64_t items,
                                  bool distinct) {
  if (!lists.given) return {};
  const bool shared = lists.offsets == nullptr;
  const int64_t count = shared ? 1 : queries, words = words_of(items);
  ItemSet* const sets = static_cast<ItemSet*>(scratch(call, elements_for(sizeof(ItemSet), count)));
  ListPlan* const plans = static_cast<ListPlan*>(scratch(call, elements_for(sizeof(ListPlan), count)));
  parallel(call, count, [&](int64_t list) {
    const int64_t begin = shared ? 0 : lists.offsets[list];
    const int64_t end = shared ? lists.count : lists.offsets[list + 1];
    plans[list] = {lists.items + begin, end - begin, -1, -1, order_of(lists.items + begin, end - begin)};
  });
  const int64_t shortest = items / (count * words <= kMostWords ? kItemsPerLongList : kItemsPerDenseList);
  int64_t copied = 0, all_words = 0;
  for (int64_t list = 0; list < count; ++list) {
    ListPlan& plan = plans[list];
    if (plan.order == ListOrder::strict || (plan.order == ListOrder::rising && !distinct)) continue;
    if (plan.order == ListOrder::none && plan.count > shortest) {
      plan.bits = all_words;
      all_words += words;
    }
    if (distinct || plan.bits < 0) {
      plan.copy = copied;
      copied += plan.count;
    }
  }
  int32_t* const copies = static_cast<int32_t*>(scratch(call, copied));
  uint64_t* const bits = static_cast<uint64_t*>(scratch(call, 2 * all_words));
  parallel(call, count, [&](int64_t list) { sets[list] = set_of(plans[list], distinct, words, copies, bits); });
  return {sets, shared};
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
