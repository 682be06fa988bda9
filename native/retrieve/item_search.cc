#include "native/retrieve/item_search.h"

#include <algorithm>
#include <string>
#include <utility>

#include "native/core/error.h"
#include "native/core/kernel.h"

namespace shortlist {
namespace {

// The lists of the queries that are searched at once take about so many bytes at most.
const int64_t kMostListBytes = int64_t{1} << 27;

Call call_of(CpuDevice* device, Arena* arena) {
  return {"search", nullptr, nullptr, nullptr, 0, device->threads(), arena};
}

}  // namespace

ItemSearch::ItemSearch(std::shared_ptr<CpuDevice> device, std::shared_ptr<const void> owner, const ItemVectors& vectors,
                       bool int8)
    : device_(std::move(device)), owner_(std::move(owner)), vectors_(vectors) {
  if (vectors.items > INT32_MAX) {
    throw Error(Status::input, "Expected at most " + std::to_string(INT32_MAX) + " items but received " +
                                   std::to_string(vectors.items));
  }
  if (!int8 || vectors.items <= vectors.first) return;
  const SearchKernels& kernels = device_->search_kernels();
  const int64_t items = vectors.items - vectors.first;
  codes_ = Memory(static_cast<size_t>(kernels.code_count(items, vectors.width)));
  scales_ = Memory(static_cast<size_t>(kernels.scale_count(items)) * sizeof(float));
  std::unique_ptr<Arena> arena = take_arena();
  encoded_ = kernels.encode(call_of(device_.get(), arena.get()), vectors_, static_cast<int8_t*>(codes_.data()),
                            static_cast<float*>(scales_.data()));
  give_back(std::move(arena));
}

ItemSearch::~ItemSearch() = default;

std::unique_ptr<Arena> ItemSearch::take_arena() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (arenas_.empty()) return std::unique_ptr<Arena>(new Arena(device_.get()));
  std::unique_ptr<Arena> arena = std::move(arenas_.back());
  arenas_.pop_back();
  return arena;
}

void ItemSearch::give_back(std::unique_ptr<Arena> arena) const {
  arena->reset();
  const std::lock_guard<std::mutex> lock(mutex_);
  arenas_.push_back(std::move(arena));
}

void ItemSearch::check_lists(const ItemLists& lists, int64_t queries, const char* name) const {
  if (!lists.given) return;
  const std::string what = "[search] Expected " + std::string(name);
  if (lists.offsets != nullptr) {
    const bool rising = std::is_sorted(lists.offsets, lists.offsets + queries + 1);
    if (!rising || lists.offsets[0] != 0 || lists.offsets[queries] != lists.count) {
      throw Error(Status::input, what + "_offsets to rise from 0 to " + std::to_string(lists.count));
    }
  }
  const Bounds bounds = bounds_of(lists.items, lists.count);
  if (!bounds.known || (bounds.lowest >= 0 && bounds.highest < vectors_.items)) return;
  for (int64_t i = 0; i < lists.count; ++i) {
    if (lists.items[i] >= 0 && lists.items[i] < vectors_.items) continue;
    throw Error(Status::input, what + "[" + std::to_string(i) + "] from 0 to " + std::to_string(vectors_.items - 1) +
                                   " but received " + std::to_string(lists.items[i]));
  }
}

void ItemSearch::search(const SearchRequest& request) const {
  check_lists(request.excluded, request.count, "excluded");
  check_lists(request.allowed, request.count, "allowed");
  const int64_t longest = std::min(request.top, vectors_.items);
  const int64_t bytes_each = list_capacity(longest) * static_cast<int64_t>(sizeof(uint64_t)) * device_->thread_count();
  const ItemCodes* const codes = codes_.bytes() > 0 ? &encoded_ : nullptr;
  const SearchKernels& kernels = device_->search_kernels();
  const int64_t wanted = kernels.queries_at_once(codes, request);
  const int64_t at_once = std::max<int64_t>(1, std::min(wanted, kMostListBytes / bytes_each));
  std::unique_ptr<Arena> arena = take_arena();
  for (int64_t first = 0; first < request.count; first += at_once) {
    const int64_t count = std::min(at_once, request.count - first);
    kernels.search(call_of(device_.get(), arena.get()), vectors_, codes,
                   queries_of(request, vectors_.width, first, count));
    arena->reset();
  }
  give_back(std::move(arena));
}

}  // namespace shortlist
