// Exact search on every instruction set and several threads: the results of float32 scans, of first passes in 8 bits
// and of lists are those of a plain loop. The elements are small whole numbers, whose sums are exact in any order.
// (Tests in TypeScript compare the bits of other numbers.)

#include "native/retrieve/item_search.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "test/native/check.h"

namespace shortlist {
namespace {

struct Vectors {
  int64_t items, width, queries;
  Memory weight, bias;  // in test builds, memory that ends where the vectors do
  std::vector<float> users;

  ItemVectors view(int64_t first, bool biased) const {
    return {static_cast<const float*>(weight.data()),
            biased ? static_cast<const float*>(bias.data()) : nullptr,
            items,
            width,
            width,
            first};
  }
};

Vectors random_vectors(int64_t items, int64_t width, int64_t queries, std::mt19937* random) {
  Vectors vectors;
  vectors.items = items;
  vectors.width = width;
  vectors.queries = queries;
  vectors.weight = Memory(static_cast<size_t>(items * width) * 4);
  vectors.bias = Memory(static_cast<size_t>(items) * 4);
  const auto number = [&] { return static_cast<float>(static_cast<int>((*random)() % 9) - 4); };
  for (int64_t i = 0; i < items * width; ++i) static_cast<float*>(vectors.weight.data())[i] = number();
  for (int64_t i = 0; i < items; ++i) static_cast<float*>(vectors.bias.data())[i] = number();
  for (int64_t i = 0; i < queries * width; ++i) vectors.users.push_back(number());
  return vectors;
}

struct Lists {
  std::vector<int32_t> items, offsets;

  ItemLists view(bool given) const {
    return {items.data(), offsets.empty() ? nullptr : offsets.data(), static_cast<int64_t>(items.size()), given};
  }
  // Whether each of `count` items is on the list of a query.
  std::vector<bool> members(int64_t query, int64_t count) const {
    std::vector<bool> are(static_cast<size_t>(count), false);
    const int64_t begin = offsets.empty() ? 0 : offsets[static_cast<size_t>(query)];
    const int64_t end = offsets.empty() ? static_cast<int64_t>(items.size()) : offsets[static_cast<size_t>(query) + 1];
    for (int64_t i = begin; i < end; ++i) are[static_cast<size_t>(items[static_cast<size_t>(i)])] = true;
    return are;
  }
};

Lists random_lists(int64_t items, int64_t queries, bool shared, std::mt19937* random) {
  Lists lists;
  if (!shared) lists.offsets.push_back(0);
  for (int64_t q = 0; q < (shared ? 1 : queries); ++q) {
    const size_t begin = lists.items.size();
    const uint32_t length = items == 0 ? 0 : (*random)() % (2 * static_cast<uint32_t>(items));
    for (uint32_t i = 0; i < length; ++i) {
      lists.items.push_back(static_cast<int32_t>((*random)() % static_cast<uint32_t>(items)));
    }
    if ((*random)() % 2 == 0) std::sort(lists.items.begin() + static_cast<int64_t>(begin), lists.items.end());
    if (!shared) lists.offsets.push_back(static_cast<int32_t>(lists.items.size()));
  }
  return lists;
}

struct Results {
  std::vector<int32_t> items;
  std::vector<float> scores;
};

Results expected_of(const ItemVectors& vectors, const SearchRequest& request, const Lists* excluded,
                    const Lists* allowed) {
  Results results;
  for (int64_t q = 0; q < request.count; ++q) {
    std::vector<std::pair<float, int32_t>> candidates;
    std::vector<bool> out(static_cast<size_t>(vectors.items), false), in(static_cast<size_t>(vectors.items), true);
    if (excluded) out = excluded->members(q, vectors.items);
    if (allowed) in = allowed->members(q, vectors.items);
    for (int64_t i = vectors.first; i < vectors.items; ++i) {
      if (out[static_cast<size_t>(i)] || !in[static_cast<size_t>(i)]) continue;
      const int32_t item = static_cast<int32_t>(i);
      float score = vectors.bias ? vectors.bias[i] : 0;
      for (int64_t c = 0; c < vectors.width; ++c) {
        score += vectors.weight[i * vectors.width + c] * request.queries[q * vectors.width + c];
      }
      candidates.push_back({-score, item});
    }
    std::sort(candidates.begin(), candidates.end());
    candidates.resize(static_cast<size_t>(request.top), {INFINITY, -1});
    for (const auto& candidate : candidates) {
      results.items.push_back(candidate.second);
      results.scores.push_back(-candidate.first);
    }
  }
  return results;
}

Results results_of(const ItemSearch& search, SearchRequest request) {
  Results results;
  results.items.resize(static_cast<size_t>(request.count * request.top));
  results.scores.resize(results.items.size());
  request.items = results.items.data();
  request.scores = results.scores.data();
  search.search(request);
  return results;
}

void check_same(const Results& results, const Results& expected, const std::string& what) {
  if (results.items == expected.items && results.scores == expected.scores) return;
  report(__FILE__, __LINE__, what + ": the result differs from that of a plain loop");
}

void check_sizes(const std::shared_ptr<CpuDevice>& device, int64_t items, int64_t width, int64_t queries, int64_t top,
                 std::mt19937* random) {
  const Vectors vectors = random_vectors(items, width, queries, random);
  const bool biased = (*random)() % 2 == 0;
  const ItemVectors view = vectors.view(static_cast<int64_t>((*random)() % 2), biased);
  const ItemSearch plain(device, nullptr, view, false), coded(device, nullptr, view, true);
  const std::string name = std::string(device->isa()) + ", " + std::to_string(device->thread_count()) + " threads, [" +
                           std::to_string(items) + ", " + std::to_string(width) + "], " + std::to_string(queries) +
                           " queries, top " + std::to_string(top);
  SearchRequest request = {vectors.users.data(), queries, top, {}, {}, nullptr, nullptr};
  const Lists excluded = random_lists(items, queries, (*random)() % 2 == 0, random);
  const Lists allowed = random_lists(items, queries, (*random)() % 2 == 0, random);
  for (int filters = 0; filters < 4; ++filters) {
    const bool excludes = filters % 2 == 1, allows = filters / 2 == 1;
    request.excluded = excluded.view(excludes);
    request.allowed = allowed.view(allows);
    const Results expected = expected_of(view, request, excludes ? &excluded : nullptr, allows ? &allowed : nullptr);
    check_same(results_of(plain, request), expected, name);
    check_same(results_of(coded, request), expected, name + ", first pass");
  }
}

// Searches of several threads over the same vectors.
void check_concurrent(const std::shared_ptr<CpuDevice>& device) {
  std::mt19937 random(3);
  const Vectors vectors = random_vectors(20000, 6, 40, &random);
  const ItemVectors view = vectors.view(0, true);
  const ItemSearch search(device, nullptr, view, true);
  SearchRequest request = {vectors.users.data(), 40, 10, {}, {}, nullptr, nullptr};
  Results expected = expected_of(view, request, nullptr, nullptr);
  request.items = expected.items.data();  // results_of replaces them
  request.scores = expected.scores.data();
  std::vector<std::thread> threads;
  for (int64_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int64_t first = thread; first + 8 <= 40; first += 4) {
        const int64_t count = first % 8 + 1;
        const Results results = results_of(search, queries_of(request, view.width, first, count));
        const auto items = expected.items.begin() + first * request.top;
        if (!std::equal(results.items.begin(), results.items.end(), items)) {
          report(__FILE__, __LINE__, "expected the same result beside other searches");
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

void check_refused(const std::shared_ptr<CpuDevice>& device) {
  std::mt19937 random(1);
  const Vectors vectors = random_vectors(5, 3, 2, &random);
  const ItemSearch search(device, nullptr, vectors.view(0, false), false);
  SearchRequest request = {vectors.users.data(), 2, 1, {}, {}, nullptr, nullptr};
  Lists lists = {{1, 5}, {}};
  request.excluded = lists.view(true);
  CHECK_TEXT(error_of(Status::input, [&] { results_of(search, request); }),
             "[search] Expected excluded[1] from 0 to 4 but received 5");
  lists = {{1, 2}, {0, 3, 2}};
  request.excluded = {};
  request.allowed = lists.view(true);
  CHECK_TEXT(error_of(Status::input, [&] { results_of(search, request); }),
             "[search] Expected allowed_offsets to rise from 0 to 2");
}

void run() {
  for (const Isa& isa : usable_isas()) {
    for (const int threads : {1, 3}) {
      const auto device = std::make_shared<CpuDevice>(threads, isa.name);
      std::mt19937 random(7);
      for (const int64_t items : {0, 1, 16, 63, 700}) {
        for (const int64_t queries : {1, 4, 7, 35, 70}) {
          check_sizes(device, items, 1 + static_cast<int64_t>(random() % 40), queries, 1 + items / 7, &random);
        }
      }
      check_sizes(device, 90, 300, 3, 4, &random);
      check_sizes(device, 30000, 5, 2, 50, &random);
      check_concurrent(device);
      check_refused(device);
    }
  }
}

}  // namespace
}  // namespace shortlist

int main() {
  shortlist::run();
  return shortlist::failures() > 0;
}
