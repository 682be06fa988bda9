#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "native/core/arena.h"
#include "native/core/cpu_device.h"
#include "native/core/search_kernels.h"

namespace shortlist {

// Exact search for the items with the highest scores. The vectors must not change. Any number of threads may search at
// once; they share the threads of the device as runs do.
class ItemSearch {
 public:
  // `owner` keeps the memory of the vectors alive; no vectors are copied. With `int8`, the search holds the vectors in
  // 8 bits as well, a quarter of their memory, which makes searches for up to 16 queries faster, with VNNI those for
  // any number. Results are the same. Throws Error(Status::input) if there are more items than ids.
  ItemSearch(std::shared_ptr<CpuDevice> device, std::shared_ptr<const void> owner, const ItemVectors& vectors,
             bool int8);
  ~ItemSearch();

  const ItemVectors& vectors() const { return vectors_; }
  // Memory besides the vectors.
  size_t bytes() const { return codes_.bytes() + scales_.bytes(); }

  // SearchKernels::search. Throws Error(Status::input) if an item of a list does not exist or the offsets of a list do
  // not fit; nothing is written then.
  void search(const SearchRequest& request) const;

 private:
  std::unique_ptr<Arena> take_arena() const;
  void give_back(std::unique_ptr<Arena> arena) const;
  void check_lists(const ItemLists& lists, int64_t queries, const char* name) const;

  std::shared_ptr<CpuDevice> device_;
  std::shared_ptr<const void> owner_;
  ItemVectors vectors_;
  Memory codes_;
  Memory scales_;
  ItemCodes encoded_ = {};
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Arena>> arenas_;  // of no search at the moment
};

}  // namespace shortlist
